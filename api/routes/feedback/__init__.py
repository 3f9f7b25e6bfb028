"""Reports: the citizen's own, the public's, and the staff's."""

from api.routes.feedback import citizen, public, staff, tus

blueprints = [citizen.blp, tus.blp, public.blp, staff.blp]
