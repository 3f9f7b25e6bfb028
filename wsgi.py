"""The WSGI application of one installation, made from its environment."""

import admin
from api.app import create_app
from settings import Settings

app = create_app(Settings.from_env())
admin.init_app(app)
