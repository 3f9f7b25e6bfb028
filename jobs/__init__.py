"""Work done outside of requests, and when: a top layer beside api and admin."""
