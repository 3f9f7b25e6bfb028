"""The JSON edge: what the app, partners and monitoring see."""
