"""Use cases: functions on a session. No HTTP, no commit, no clock of their own."""
