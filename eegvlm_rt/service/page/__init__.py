"""The page's process: HTTP, server-sent events, health and metrics. It knows what the service tells it, owns
nothing, and may be ended at any time.
"""
