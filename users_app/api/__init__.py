"""The door of the REST API: keys, the base of all views, and the endpoints about who."""
