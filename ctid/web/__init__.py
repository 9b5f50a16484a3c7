"""SHOWS: pages, the live feed and the REST API of ``ctid web``.

Law: whatever is shown came from outside and is text, never markup; every page and socket knows who asks before it answers.
The web never touches a call: it reads the books and listens to what the daemon publishes.
"""
