"""The pictures of reports, as SVG: the same ones on a screen, on paper and in a PDF."""
