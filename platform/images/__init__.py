"""What container images are made of: a Dockerfile each, locked dependencies, their licences, the secrets' files.

For whoever builds and runs images; nothing of it is in them.
"""
