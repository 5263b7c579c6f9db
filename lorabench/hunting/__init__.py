"""Search for unknown triggers: proposals, composition, and the evidence for what was found."""
