"""SQL over topics that a Kafka client has just produced: psql, psycopg 3 and SQLAlchemy.

    sql.py psql|psycopg|sqlalchemy --bootstrap HOST:PORT --pg HOST:PORT
"""
import datetime
import json
import re
import subprocess
import sys

from confluent_kafka import Producer

import common
from common import Absent

CLIENT = sys.argv.pop(1)
ARGS = common.arguments()
TOPIC = f"{ARGS.prefix}-sql-{CLIENT}"
HOST, _, PORT = ARGS.pg.rpartition(":")
COUNT = 100
BASE_MS = common.TIMESTAMP_BASE_MS


def delivered(error, _message):
    assert error is None, f"a record was refused: {error}"


def produce():
    producer = Producer({"bootstrap.servers": ARGS.bootstrap, "compression.type": "zstd"})
    for i in range(COUNT):
        value = json.dumps({"id": i, "name": f"n{i}", "price": i / 4, "even": i % 2 == 0})
        producer.produce(TOPIC, value, key=f"k{i}", partition=0, timestamp=BASE_MS + i * 1000,
                         on_delivery=delivered)
    assert producer.flush(30) == 0


class Psql:
    """Rows as psql prints them, read back from its CSV form."""

    def version(self):
        return re.search(r"(\d[\d.]*)", subprocess.run(["psql", "--version"], capture_output=True, text=True,
                                                       check=True).stdout).group(1)

    def run(self, *arguments):
        return subprocess.run(["psql", "-X", "-h", HOST, "-p", PORT, "-U", "luma", "-d", "luma", "-v", "ON_ERROR_STOP=1",
                               "-v", "VERBOSITY=verbose", *arguments], capture_output=True, text=True, timeout=60,
                              check=False)

    def rows(self, query, *parameters):
        if parameters:
            raise Absent("psql before 16 sends no parameters")
        done = self.run("-A", "-t", "-F", "\t", "-c", query)
        assert done.returncode == 0, done.stderr
        parse = {"t": True, "f": False}
        return [tuple(parse.get(cell, cell) for cell in line.split("\t")) for line in done.stdout.splitlines()]

    def sqlstate(self, query):
        return re.search(r"ERROR:\s+(\w{5}):", self.run("-c", query).stderr).group(1)


class Psycopg:
    def __init__(self):
        import psycopg
        self.module = psycopg
        self.connection = psycopg.connect(host=HOST, port=PORT, user="luma", dbname="luma", autocommit=True,
                                          connect_timeout=30)

    def version(self):
        return self.module.__version__

    def rows(self, query, *parameters):
        text, binary = (self.connection.cursor(binary=b).execute(query.replace("$1", "%s"), parameters or None).fetchall()
                        for b in (False, True))
        assert text == binary, f"text and binary results differ: {text[:3]} {binary[:3]}"
        return text

    def sqlstate(self, query):
        try:
            self.connection.execute(query)
        except self.module.Error as error:
            return error.sqlstate
        raise AssertionError("no error")


class SqlAlchemy:
    def __init__(self):
        import sqlalchemy
        self.module = sqlalchemy
        self.engine = sqlalchemy.create_engine(f"postgresql+psycopg://luma@{HOST}:{PORT}/luma")

    def version(self):
        return self.module.__version__

    def rows(self, query, *parameters):
        with self.engine.connect() as connection:
            named = self.module.text(query.replace("$1", ":p"))
            return [tuple(row) for row in connection.execute(named, {"p": parameters[0]} if parameters else {})]

    def sqlstate(self, query):
        try:
            self.rows(query)
        except self.module.exc.DBAPIError as error:
            return error.orig.sqlstate
        raise AssertionError("no error")


SQL = {"psql": Psql, "psycopg": Psycopg, "sqlalchemy": SqlAlchemy}


class Lazy:
    """Connects at the first use, so that a refused connection is a failed operation and not a missing report."""

    made = None

    def __getattr__(self, name):
        Lazy.made = Lazy.made or SQL[CLIENT]()
        return getattr(Lazy.made, name)


CONNECTION = Lazy()


def expect(query, wanted, *parameters):
    got = CONNECTION.rows(query, *parameters)
    if CLIENT == "psql":
        wanted = [tuple(cell if isinstance(cell, bool) else str(cell) for cell in row) for row in wanted]
    assert got == wanted, f"{query}: {got[:5]} instead of {wanted[:5]}"


def select():
    produce()
    expect(f'SELECT count(*) FROM "{TOPIC}"', [(COUNT,)])
    expect(f'SELECT id, name, price, even FROM "{TOPIC}" ORDER BY id LIMIT 4',
           [(0, "n0", 0.0, True), (1, "n1", 0.25, False), (2, "n2", 0.5, True), (3, "n3", 0.75, False)]
           if CLIENT != "psql" else [(0, "n0", 0, True), (1, "n1", 0.25, False), (2, "n2", 0.5, True), (3, "n3", 0.75, False)])
    in_steps()


def in_steps():
    """A named cursor, which fetches in steps, and COPY TO STDOUT: results that need not fit the client's memory."""
    query = f'SELECT id, name FROM "{TOPIC}" ORDER BY id'
    wanted = [(i, f"n{i}") for i in range(COUNT)]
    if CLIENT == "psql":
        stepped = CONNECTION.run("-A", "-t", "-F", "\t", "-v", "FETCH_COUNT=7", "-c", query)
        copied = CONNECTION.run("-c", f"COPY ({query}) TO STDOUT")
        for done in (stepped, copied):
            assert done.returncode == 0, done.stderr
            assert done.stdout == "".join(f"{i}\t{name}\n" for i, name in wanted), done.stdout[:200]
        csv = CONNECTION.run("-c", f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER)")
        assert csv.stdout.splitlines()[:2] == ["id,name", "0,n0"], csv.stdout[:200]
    elif CLIENT == "psycopg":
        connection = CONNECTION.connection
        with connection.transaction(), connection.cursor(name="steps") as cursor:
            cursor.itersize = 7
            cursor.execute(query)
            assert cursor.fetchmany(10) == wanted[:10]
            assert list(cursor) == wanted[10:]
        with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            rows = [(int(i), name) for i, name in copy.rows()]
            assert rows == wanted, rows[:5]
    else:
        with CONNECTION.engine.connect() as connection:
            result = connection.execution_options(stream_results=True, max_row_buffer=7).execute(CONNECTION.module.text(query))
            assert [tuple(row) for row in result] == wanted
    expect("SELECT 1", [(1,)])


def where():
    expect(f'SELECT id FROM "{TOPIC}" WHERE price > 23 AND even ORDER BY id', [(94,), (96,), (98,)])
    expect(f'SELECT even, count(*), sum(id) FROM "{TOPIC}" GROUP BY even ORDER BY even', [(False, 50, 2500), (True, 50, 2450)])


def system_columns():
    expect(f'SELECT _partition, _offset, id FROM "{TOPIC}" WHERE _partition = 0 AND _offset >= 98 ORDER BY _offset',
           [(0, 98, 98), (0, 99, 99)])
    at = datetime.datetime.fromtimestamp(BASE_MS / 1000 + 97, datetime.timezone.utc).isoformat()
    expect(f'SELECT id FROM "{TOPIC}" WHERE _timestamp >= TIMESTAMPTZ \'{at}\' ORDER BY id', [(97,), (98,), (99,)])


def parameters():
    expect(f'SELECT name FROM "{TOPIC}" WHERE id = $1', [("n42",)], 42)
    expect(f'SELECT id FROM "{TOPIC}" WHERE name = $1', [(7,)], "n7")


def errors():
    assert CONNECTION.sqlstate('SELECT * FROM "no such topic"') == "42P01"
    assert CONNECTION.sqlstate(f'SELECT nothing FROM "{TOPIC}"') == "42703"
    assert CONNECTION.sqlstate("SELEC 1") == "42601"
    expect("SELECT 1", [(1,)])


def version():
    if CLIENT == "psql":
        return Psql().version()
    return getattr(__import__(CLIENT), "__version__")


OPERATIONS = [("select", select), ("where", where), ("system columns", system_columns), ("parameters", parameters),
              ("errors", errors)]

if __name__ == "__main__":
    sys.exit(common.run(CLIENT, version(), OPERATIONS, ARGS))
