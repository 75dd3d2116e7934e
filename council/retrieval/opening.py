"""What the config's store is, and what is kept beside it: examples, fingerprints of what was said, vectors by content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from council.config import RetrievalConfig, StoreConfig
from council.errors import StoreError
from council.retrieval.edge_store import BESIDE, EdgeStore
from council.retrieval.embedder import Embedder
from council.retrieval.said import KeyFile, Keys
from council.retrieval.sparse import SparseEmbedder
from council.retrieval.store import Store, VectorSpace

EXAMPLES, SAID, VECTORS = BESIDE


def migrate_store(config: RetrievalConfig, progress: Callable[[int, int], None] | None = None, drop_old: bool = False) -> int:
    """Embed all that a server holds anew, with the model that the config names, and switch to it when all is there; what was
    there stays readable until then. Returns how many chunks these were. Run again, it goes on where it was broken off.

    Raises StoreError, also for an embedded store: of one process's own documents a new one is as soon made by indexing.
    """
    if config.store.kind != "server":
        raise StoreError("only a Qdrant server is migrated: set retrieval.store.path to a new folder, and index the documents again")
    from council.retrieval.server_migration import migrate

    sparse = SparseEmbedder(config.chunk_tokens)
    return migrate(config.store, Embedder(config.embedder), sparse.embed_document, progress, drop_old)


class Shelf:
    """Opens a store and what belongs to it, by one config. `preset` is the folder of an embedded one without a path."""

    def __init__(self, config: StoreConfig, preset: Path | None, space: VectorSpace) -> None:
        self._config, self._space = config, space
        self._folder: Path | None = None
        if config.kind == "edge":
            path = Path(config.path) if config.path is not None else preset
            if path is None:
                raise StoreError("retrieval.store.path is not set: give a folder for the embedded store")
            self._folder = path.expanduser().absolute()

    def store(self) -> Store:
        """Raises StoreError, and StoreInUse when another process has it."""
        if self._folder is not None:
            return EdgeStore(self._folder, self._space)
        return self._server(self._config.collection)

    def examples(self, make: bool) -> Store | None:
        """The store of worked examples; None if there is none yet, and none is to be made."""
        if self._folder is None:
            return self._server(f"{self._config.collection}-examples")
        folder = self._folder / EXAMPLES
        return EdgeStore(folder, self._space) if make or folder.is_dir() else None

    def said(self) -> Keys:
        """Fingerprints of what the council said."""
        if self._folder is not None:
            return KeyFile(self._folder / SAID)
        from council.retrieval.server_keys import ServerKeys

        return ServerKeys(self._config)

    @property
    def vectors(self) -> Path | None:
        """The file of vectors by content; None: none are kept, since a removal could not reach them on other machines."""
        return self._folder / VECTORS if self._folder is not None else None

    def _server(self, collection: str) -> Store:
        # Imported here: it takes a second that the embedded store needn't spend.
        from council.retrieval.server_store import ServerStore

        return ServerStore(self._config.model_copy(update={"collection": collection}), self._space)
