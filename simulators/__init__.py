"""Local stand-ins for the systems around this one; each speaks the real protocol over real HTTP."""
