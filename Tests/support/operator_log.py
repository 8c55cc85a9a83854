"""Lines of the operator log: time, level, event, then key=value."""

import json
import re
from dataclasses import dataclass

LOG_LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<level>DEBUG|INFO|WARN|ERROR|ALERT)"
    r" (?P<event>[a-z][a-z0-9-]*)(?P<fields>(?: [A-Za-z][\w.-]*=(?:\"(?:[^\"\\]|\\.)*\"|[^\s\"]*))*)$"
)
LOG_FIELD = re.compile(r' ([A-Za-z][\w.-]*)=("(?:[^"\\]|\\.)*"|\S*)')


@dataclass
class LogLine:
    """A line of the operator log."""

    source: str
    time: str
    level: str
    event: str
    fields: dict
    text: str

    @staticmethod
    def parse(source, text):
        """The line, or None where it is not one of the log's."""
        match = LOG_LINE.match(text)
        if not match:
            return None
        fields = {}
        for name, value in LOG_FIELD.findall(match["fields"]):
            if value.startswith('"'):
                try:
                    value = json.loads(value)
                except ValueError:
                    value = value[1:-1]
            fields[name] = value
        return LogLine(source, match["time"], match["level"], match["event"], fields, text)
