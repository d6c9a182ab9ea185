"""Rows of CSV and JSONL files."""

import collections
import contextlib
import csv
import functools
import itertools
import json
import os
import re

from cross_modal.data import encodings, schema
from cross_modal.data.columns import name_columns
from cross_modal.data.containers import KIND_OF

_DELIMITERS = ",;\t|"
_NONE = "\x1f"  # A delimiter for tables of one column.
_SEP = re.compile(r'"?sep=([,;|\t])"?\s*$', re.IGNORECASE)  # The line that Excel takes the delimiter from.
_WHOLE = re.compile(r'"(?:[^"]|"")*"')
_FIRST = 1000  # Rows that are looked at beforehand.
_RECORD_LINES, _RECORD_SIZE = 1000, 2**20  # Most lines and characters of a row that has several lines.


def open_lines(path, form, encoding):
    """Opens a CSV or JSONL file.

    Args:
        path: its path.
        form: "csv" or "jsonl".
        encoding: of the text; None to find out.

    Returns:
        `Source`.

    Raises:
        TableError: if it cannot be read as that.
    """
    digest, found, words = encodings.read_encoding(path, encoding)
    notes, parts = {"format": form, "encoding": f"{found}, guessed; give --encoding if this is wrong: {words!r}" if words else found}, [found, path.suffix.lower()]
    if form == "csv":
        notes["delimiter"] = delimiter = _find_delimiter(path, found)
        header = _header(path, found, delimiter)
        columns, said = name_columns(path, header)
        odd = next((name for name in header if os.path.splitext(name)[1].lower() in KIND_OF and os.path.isfile(path.parent / name)), None)
        if odd:
            said["header"] = f"looks like a row: {odd} is a file"
        reader = functools.partial(_read_csv, path, found, delimiter, columns)
        parts.append(delimiter)
    else:
        _check_jsonl(path, found)
        said, columns, reader = {}, [""], functools.partial(_read_jsonl, path, found)
    bare = "" if all(isinstance(name, str) and name for name in columns) else _values_without_name(reader)
    if bare:
        said["columns passed over"] = f"{bare}, without a name"
    return schema.Source(str(path), path.parent, schema.digest(digest, *parts), functools.partial(_named_rows, reader), None, notes | said)


def _named_rows(reader):
    for number, row in reader():
        yield number, row if isinstance(row, schema.TableError) else {name: value for name, value in row.items() if isinstance(name, str) and name}


def _values_without_name(reader):
    """Names the columns without a name in which the first rows have values. `Source.notes` must be known before all rows are read, as a run that goes on reads none."""
    found = {}
    for _, row in itertools.islice(reader(), _FIRST):
        if isinstance(row, dict):
            found |= {name: True for name, value in row.items() if (name == "" or isinstance(name, int)) and value not in ("", None)}
    return ", ".join(f"column {name + 1}" if isinstance(name, int) else "the key ''" for name in sorted(found, key=str))


def _text_lines(path, encoding):
    """Yields the lines of a text file."""
    try:
        with encodings.open_text(path, encoding) as file:
            yield from file
    except UnicodeError as error:
        raise schema.TableError(f"{path}: expected text in {encoding}. Received: {error}. Give another --encoding.") from error


def _find_delimiter(path, encoding):
    """Returns the delimiter that gives the first rows the most columns, and all of them as many."""
    said = _SEP.match(next(_text_lines(path, encoding), ""))
    if said:
        return said[1]
    if path.suffix.lower() == ".tsv":
        return "\t"
    best, found = 0, _NONE
    for delimiter in _DELIMITERS:
        rows = [len(row) for _, row in itertools.islice(_records(path, encoding, delimiter), 21) if isinstance(row, list)]
        if rows and rows[0] > 1:
            score = rows[0] * sum(count == rows[0] for count in rows) / len(rows)
            best, found = max((best, found), (score, delimiter), key=lambda pair: pair[0])
    return found


def _header(path, encoding, delimiter):
    records = _records(path, encoding, delimiter)
    line, header = next(records, (1, []))
    if isinstance(header, schema.TableError):
        raise schema.TableError(f"{path}: expected names of columns in line {line}. Received a {header}")
    first = next(records, (0, [""]))[1]
    if len(header) == 1 and ":" in header[0] and isinstance(first, list) and header[0].count(":") == first[0].count(":"):
        try:
            schema.parse_column(header[0].strip())
        except schema.TableError as error:
            raise schema.TableError(f"{path}: expected columns with one of , ; | or a tab between them. Received one column: {header[0]!r}. Save it with another sign.") from error
    return header


def _records(path, encoding, delimiter):
    """Yields the records of a CSV file: pairs of number of the line, and list of values, or `TableError` for a line whose quote does not close.

    The csv module would take all up to the next quote, or the end of the file, into one value. Here a quote that does not close costs its own line alone.
    """
    csv.field_size_limit(2**31 - 1)
    loose = path.suffix.lower() == ".tsv"
    lines = _Lines(_text_lines(path, encoding))
    if _SEP.match(lines.peek(0) or ""):
        lines.take(1)
    width = None
    while (line := lines.peek(0)) is not None:
        place, taken = lines.number + 1, 1
        if not line.strip("\r\n"):
            lines.take(1)
            continue
        if '"' not in line:
            row = line.rstrip("\r\n").split(delimiter)
        else:
            feed = _Quoted(lines, delimiter, width)
            try:
                row, taken = next(csv.reader(feed, delimiter=delimiter, strict=True)), feed.taken
                if feed.is_rows():
                    raise csv.Error("rows in a value")
            except (csv.Error, StopIteration):
                taken = 1
                row = _loose_cells(line, delimiter) if loose else schema.TableError(f"broken row: a quote in line {place} does not open and close a value")
        lines.take(taken)
        width = width or (len(row) if isinstance(row, list) else None)
        yield place, row


def _loose_cells(line, delimiter):
    cells = line.rstrip("\r\n").split(delimiter)
    return [cell[1:-1].replace('""', '"') if _WHOLE.fullmatch(cell) else cell for cell in cells]


class _Lines:
    """Lines of which one can see what comes before taking it."""

    def __init__(self, lines):
        self._lines, self._ahead, self.number = lines, collections.deque(), 0

    def peek(self, place):
        while len(self._ahead) <= place:
            line = next(self._lines, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[place]

    def take(self, count):
        self.number += count
        for _ in range(count):
            self._ahead.popleft()


class _Quoted:
    """Gives the csv module the lines of one record, and no more when it looks as if a quote never closes: then there are too many, or they are rows themselves."""

    def __init__(self, lines, delimiter, width):
        self._lines, self._delimiter, self._width = lines, delimiter, width
        self.taken, self._full, self._size = 0, 0, 0

    def __iter__(self):
        return self

    def __next__(self):
        line = self._lines.peek(self.taken)
        if line is None or (self.taken and (self.taken >= _RECORD_LINES or self._size > _RECORD_SIZE or (self.taken > 8 and self.is_rows()))):
            raise StopIteration
        self.taken += 1
        self._size += len(line)
        # Between words of a text, a space follows the sign; between the values of a row, hardly ever.
        cells = line.rstrip("\r\n").split(self._delimiter)
        self._full += len(cells) == self._width and not any(cell.startswith(" ") for cell in cells[1:])
        return line

    def is_rows(self):
        """Whether the lines so far are, nearly all, rows themselves. Where a row has two values, a line of a text may look like one by chance."""
        return (self._width or 1) > 1 and self.taken > (2 if self._width == 2 else 1) and self._full >= 0.9 * self.taken


def _read_csv(path, encoding, delimiter, columns):
    records = _records(path, encoding, delimiter)
    next(records, None)
    for number, (_, row) in enumerate(records, 1):
        if isinstance(row, list):
            many = len(row) > len(columns)
            row = schema.TableError("broken row: more values than the header has") if many else dict(itertools.zip_longest(columns, row))
        yield number, row


def _check_jsonl(path, encoding):
    """Raises an error for JSON that is not one object a line."""
    with encodings.open_text(path, encoding) as file, contextlib.suppress(UnicodeError):  # Which is told when the rows are read.
        head = file.read(2**20).lstrip("\ufeff \t\r\n")
        first, line_end, rest = head.partition("\n")
        first = first.strip()
        what = ""
        if first.startswith("[") and (not line_end and len(head) > 2**19 or first == "["):
            what = "one list of all rows"
        elif first.startswith(("{", "[")):
            try:
                value = json.loads(first)
                what = "one list of all rows" if isinstance(value, list) and value and all(isinstance(one, dict) for one in value) else ""
            except json.JSONDecodeError as error:
                second = rest.lstrip().partition("\n")[0]
                if error.pos >= len(first) - 1 and second and _parse_json(second)[1]:
                    what = "objects over several lines" if first.startswith("{") else "one list of all rows"
            except (ValueError, RecursionError):
                pass
    if what:
        convert = "jq -c . OLD > NEW.jsonl" if what.startswith("objects") else "jq -c '.[]' OLD > NEW.jsonl"
        raise schema.TableError(f"{path}: expected one JSON object in each line. Received: {what}. Convert it, for example by: {convert}")


def _read_jsonl(path, encoding):
    for number, line in enumerate((line for line in _text_lines(path, encoding) if line.strip()), 1):
        row, reason = _parse_json(line)
        yield number, schema.TableError(f"broken row: {reason}") if reason else row


def _parse_json(line):
    """Returns the object that a line holds, and why it holds none, else an empty string."""
    try:
        row = json.loads(line, object_pairs_hook=_distinct)
    except _Twice as error:
        return None, str(error)
    except json.JSONDecodeError:
        return None, "no JSON object"
    except (ValueError, RecursionError):
        return None, "a number that is too long, or lists too deep in each other"
    if not isinstance(row, dict):
        return None, "no JSON object"
    broken = next((name for name in row if schema.BROKEN.search(name)), "")
    return row, f"a key that is no text: {ascii(broken)}" if broken else ""


class _Twice(Exception):
    """A key that stands twice in one JSON object."""


def _distinct(pairs):
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(name for name, count in collections.Counter(name for name, _ in pairs).items() if count > 1)
        raise _Twice(f"the key {ascii(twice)} twice")
    return row
