"""One file per version; each is final once released: what changes later is a new file."""
