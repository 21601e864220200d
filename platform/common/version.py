"""Which version of Lamppost this is. Images hold the code without installing it, so it is said here and read from here
by whatever builds or installs the package, too.
"""

VERSION = "0.1.0"
