"""A database as a store: made where it is a file, and checked before mlflow opens it."""

from __future__ import annotations

from pathlib import Path

import mlflow
import sqlalchemy
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from pipeline.shell.errors import UserError
from pipeline.shell.patience import masked
from pipeline.tracking.outages import one_line
from pipeline.tracking.store import ARTIFACTS, sqlite_uri

SQLITE_BUSY_SECONDS = 20  # as long as mlflow itself waits for another writer
OTHER_STORE = "set MLFLOW_TRACKING_URI to another store, such as sqlite:///other.db"


def prepare(uri: str, path: Path | None) -> None:
    """Makes a sqlite file where there is none at `path`, and checks the version and that it can be written."""
    if path is not None and (not path.exists() or path.stat().st_size == 0):
        create_sqlite(path)
    try:
        engine = sqlalchemy.create_engine(uri, connect_args={"timeout": SQLITE_BUSY_SECONDS} if path else {})
        with engine.connect() as connection:
            if path:
                # A write that is never committed: "begin immediate" alone succeeds on a file that is read-only.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql("CREATE TABLE alpharho_may_write (id)")
                connection.rollback()
            tables = sqlalchemy.inspect(connection).get_table_names()
            revision = MigrationContext.configure(connection).get_current_revision()
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise UserError(
            f"wanted an MLflow database that can be written at {masked(uri)}. Received: {one_line(error)}. "
            f"Try: put that right, or {OTHER_STORE}."
        ) from error
    if tables:
        _check_revision(uri, revision)


def create_sqlite(path: Path) -> None:
    """Under another name first, so that a stop half-way leaves no half-made database behind."""
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    # The root of the Default experiment, which would be ./mlruns otherwise.
    store = SqlAlchemyStore(sqlite_uri(part), (path.parent / ARTIFACTS).as_uri())
    store.engine.dispose()
    part.replace(path)


def _check_revision(uri: str, revision: str | None) -> None:
    """mlflow itself migrates some old databases unasked, without a backup, and fails on others with a traceback."""
    config = Config()
    config.set_main_option("script_location", str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    scripts = ScriptDirectory.from_config(config)
    wanted = scripts.get_current_head()
    if revision == wanted:
        return
    older = revision in {script.revision for script in scripts.walk_revisions()}
    hint = f"keep a copy and run `mlflow db upgrade {masked(uri)}`, or {OTHER_STORE}" if older else OTHER_STORE
    age = "an older MLflow's" if older else "a newer MLflow's, another program's or a half-made one's"
    raise UserError(
        f"wanted a database of MLflow {mlflow.__version__} (schema {wanted}) at {masked(uri)}. "
        f"Received: schema {revision}, {age}. Try: {hint}."
    )
