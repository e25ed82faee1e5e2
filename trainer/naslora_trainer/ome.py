"""The Open Microscopy Environment's metadata in files, read with care."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import tifffile

#: Longer XML is not parsed.
LONGEST_XML = 10_000_000


def ome_xml(tiff: tifffile.TiffFile) -> ElementTree.Element | None:
    """Return the OME-XML of a TIFF; None where there is none, or it is too long or defines entities.

    Raises
    ------
    xml.etree.ElementTree.ParseError
        It is no XML.
    """
    xml = tiff.ome_metadata
    return ElementTree.fromstring(xml) if xml and len(xml) < LONGEST_XML and "<!DOCTYPE" not in xml else None


def ome_attributes(group: Any) -> Mapping[str, Any]:
    """Return the OME attributes of a zarr group (OME-NGFF 0.4 has them at the top, 0.5 under ``ome``)."""
    attributes = dict(group.attrs)
    found: Mapping[str, Any] = attributes.get("ome", attributes)
    return found
