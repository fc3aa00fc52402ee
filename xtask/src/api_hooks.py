"""What schemathesis asks for is bent where it would never be answered, or run something that nobody knows."""

import schemathesis


def is_true(value):
    values = value if isinstance(value, (list, tuple)) else [value]
    return any(str(one).lower() == "true" for one in values)


@schemathesis.hook
def before_call(context, case, kwargs):
    # A stream that is followed has no end.
    query = case.query
    if query and "follow" in query and is_true(query["follow"]):
        query["follow"] = "false"
    body = case.body
    if isinstance(body, dict):
        only_harmless(body)


def only_harmless(body):
    """Whatever is to be run is `true`, as a text or with arguments, on whichever level it stands."""
    for key, value in body.items():
        if key in ("command", "cmd", "exec", "program") and value and not isinstance(value, (dict, bool, int, float)):
            body[key] = ["true", *value[1:]] if isinstance(value, list) else "true"
        elif isinstance(value, dict):
            only_harmless(value)
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, dict):
                    only_harmless(one)
