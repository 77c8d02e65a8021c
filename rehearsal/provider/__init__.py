"""Provider plugins for the real Pulumi engine, over the same drivers as the in-process deployment.

They stand in for the official plugins of the ``aws`` and ``gcp`` packages where those, or the
accounts they speak to, are not to be had. They know the resource types that have a driver.
"""
