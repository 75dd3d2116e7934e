"""Bytes of one file -> its documents: a reader for each kind. Each brings in its library only when it is called."""
