#!/usr/bin/env bash
# Find the system libraries that a napari window and a virtual screen need on Linux.
# As root on Debian or Ubuntu what is missing is installed; otherwise it is named with the command that installs it.
set -euo pipefail
[ "$(uname -s)" = Linux ] || exit 0
PATH=$PATH:/usr/sbin:/sbin

libraries="
libGL.so.1               libgl1
libEGL.so.1              libegl1
libOpenGL.so.0           libopengl0
libX11-xcb.so.1          libx11-xcb1
libxkbcommon.so.0        libxkbcommon0
libxkbcommon-x11.so.0    libxkbcommon-x11-0
libxcb-cursor.so.0       libxcb-cursor0
libxcb-icccm.so.4        libxcb-icccm4
libxcb-image.so.0        libxcb-image0
libxcb-keysyms.so.1      libxcb-keysyms1
libxcb-randr.so.0        libxcb-randr0
libxcb-render-util.so.0  libxcb-render-util0
libxcb-shape.so.0        libxcb-shape0
libxcb-shm.so.0          libxcb-shm0
libxcb-sync.so.1         libxcb-sync1
libxcb-xfixes.so.0       libxcb-xfixes0
libxcb-xkb.so.1          libxcb-xkb1
libdbus-1.so.3           libdbus-1-3
libfontconfig.so.1       libfontconfig1
libfreetype.so.6         libfreetype6
libglib-2.0.so.0         libglib2.0-0
libgssapi_krb5.so.2      libgssapi-krb5-2
libzstd.so.1             libzstd1
"

missing=()
known=$(ldconfig -p 2>/dev/null || true)
while read -r library package; do
    [ -z "$library" ] || grep -qF "$library " <<<"$known" || missing+=("$package")
done <<<"$libraries"
command -v Xvfb >/dev/null && command -v xvfb-run >/dev/null || missing+=(xvfb)
command -v xauth >/dev/null || missing+=(xauth)
compgen -G '/usr/lib*/*/dri/*swrast_dri.so' >/dev/null ||
    compgen -G '/usr/lib*/dri/*swrast_dri.so' >/dev/null || missing+=(libgl1-mesa-dri)
compgen -G '/usr/share/fonts/*' >/dev/null || missing+=(fonts-dejavu-core)
if command -v dpkg >/dev/null && ! "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null; then
    missing+=(python3-venv)
fi

[ ${#missing[@]} -gt 0 ] || exit 0
install="apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null; then
    echo "These libraries (Debian's names) seem to be missing: ${missing[*]}; install them if no window opens." >&2
elif [ "$(id -u)" -eq 0 ]; then
    echo "Installing system libraries: ${missing[*]}" >&2
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive $install -qq -o Dpkg::Use-Pty=0 >/dev/null
else
    echo "Some system libraries are missing; install them with: sudo $install" >&2
    exit 1
fi
