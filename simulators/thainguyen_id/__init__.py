"""A demonstration of Thái Nguyên ID: an OpenID provider that refuses what a real one refuses."""
