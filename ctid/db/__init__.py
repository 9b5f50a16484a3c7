"""REMEMBERS: the tables, the stores over them, and the import of a site's own lists.

Law: the only room that knows SQL. Stores take and give the domain's values; a fault the user can mend is a
``DatabaseFault`` of one line.
"""
