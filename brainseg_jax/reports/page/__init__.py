"""A report as one page: what it says, in blocks, and how blocks become HTML or Markdown."""
