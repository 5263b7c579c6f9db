"""How the tables of the case book came to be, one file per version, run by Alembic."""
