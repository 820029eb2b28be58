from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloakbench.errors import UserError
from cloakbench.submissions.naming import Parameter, Variant, canonical, parse

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}", fullmatch=True)
keys = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)
words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True).filter(
    lambda word: word.lower() not in {"true", "false", "null", "none", "nan", "inf", "infinity"}
)
values = st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | words


@given(names, st.dictionaries(keys, values, max_size=3))
def test_canonical_spelling_reads_back_and_is_stable(name: str, parameters: dict[str, Parameter]) -> None:
    variant = parse(canonical(name, parameters))
    assert variant == Variant(name, parameters)
    assert {k: type(v) for k, v in variant.parameters.items()} == {k: type(v) for k, v in parameters.items()}
    assert variant.identity == canonical(name, dict(reversed(parameters.items())))


@pytest.mark.parametrize(
    ("spelling", "identity"),
    [
        ("photoguard", "photoguard"),
        ("impasto[clip=false,base=advdm]", "impasto[base=advdm,clip=false]"),
        (" impasto [ base = advdm ] ", "impasto[base=advdm]"),
        ("x[a=+05,b=1e-2,c=.5,d=-3]", "x[a=5,b=0.01,c=0.5,d=-3]"),
        ("x[a=1,b=1.0]", "x[a=1,b=1.0]"),
        ("x[a=true,b=truest]", "x[a=true,b=truest]"),
    ],
)
def test_spellings_of_one_variant_have_one_identity(spelling: str, identity: str) -> None:
    assert parse(spelling).identity == identity


@pytest.mark.parametrize(
    ("spelling", "told"),
    [
        ("", "name"),
        ("Photo Guard", "name"),
        ("../evil", "name"),
        ("-x", "name"),
        ("x[", "got 'x['"),
        ("x]", "got 'x]'"),
        ("x[a=1]b", "got 'x[a=1]b'"),
        ("x[[a=1]]", "got"),
        ("x[]", "parameter=value"),
        ("x[a]", "parameter=value"),
        ("x[a=1,]", "parameter=value"),
        ("x[1a=1]", "parameter=value"),
        ("x[a=1,a=2]", "twice"),
        ("x[a=]", "got ''"),
        ("x[a=b/c]", "got 'b/c'"),
        ("x[a=null]", "got 'null'"),
        ("x[a=None]", "got 'None'"),
        ("x[a=True]", "got 'True'"),
        ("x[a=nan]", "got 'nan'"),
        ("x[a=-inf]", "got '-inf'"),
        ("x[a=1e999]", "finite"),
        pytest.param("x[a=" + "9" * 5000 + "]", "a protection, got", id="endless"),
    ],
)
def test_bad_spellings_say_what_was_expected(spelling: str, told: str) -> None:
    with pytest.raises(UserError, match="expected .*" + re.escape(told)) as caught:
        parse(spelling)
    assert caught.value.hint
