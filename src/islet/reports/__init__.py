"""Reports on one person's glucose: days in, a document out, and the document as a page, a PDF, a table or JSON. Pure."""
