"""Samples in .csv files: what is a header, what is a sample, and what is refused because nobody could tell."""

import pytest
from sample_files import FORM, SAMPLES, refused, text

from qbitsat.importers import csv_file, load_inputs, load_labels


@pytest.fixture
def path(tmp_path):
    return tmp_path / "samples"


def test_ragged_csv_is_refused(path):
    refused(path, text([*SAMPLES, [1, 2, 3]]), r"samples:3: 3 values, expected 6 as in the first line")


@pytest.mark.parametrize("cell", ["x", "", "1 2", "0x1", "1_0", "--1"])
def test_csv_with_another_word_is_refused(path, cell):
    refused(path, text([*SAMPLES, [1, cell, 3, 4, 5, 6]]), f"samples:3: value 2 is '{cell}', expected an integer")


def test_csv_with_one_number_in_its_first_line_has_no_header(path):
    refused(path, text([["a", 2, 3, 4, 5, 6]]), "samples:1: value 1 is 'a', expected an integer")


def test_csv_of_a_header_alone_is_refused(path):
    refused(path, b"a,b,c\n", "has no samples after 'a,b,c', which is taken for a header")


WORDS = [b"a,b,c,d,e,f", b"labels_1,1x1,1x2,1x3,1x4,1x5", b"pixel0,pixel1,x,yy,z,_w", "größe,b,c,d,e,f".encode(), b'"a",b,c,d,e,"f, g"']


@pytest.mark.parametrize("line", WORDS)
def test_csv_words_are_a_header(path, line):
    path.write_bytes(line + b"\n" + text(SAMPLES))
    assert load_inputs(path, FORM).tolist() == load_inputs(path, FORM, header=True).tolist() == SAMPLES.tolist()
    refused(path, path.read_bytes(), "samples:1: .*expected an integer", lambda path: load_inputs(path, FORM, header=False))


AMBIGUOUS = [
    (b"0,1,2,3,4,5", "'0,1,2,3,4...' may be column numbers or a sample"),
    (b" 0, 1, 2, 3, 4, 5", "may be column numbers or a sample"),
    (b"NA,NA,NA,NA,NA,NA", "is neither names of columns nor numbers"),
    (b"0x0,0x5,0x1,0x2,0x3,0x4", "is neither names of columns nor numbers"),
    (b"a,NA,c,d,e,f", "is neither names of columns nor numbers"),
    (b"a,,c,d,e,f", "is neither names of columns nor numbers"),
    (b"null,None,?,-,true,n/a", "is neither names of columns nor numbers"),
    (b"1x1,1x2,1x3,1x4,1x5,1x6", "is neither names of columns nor numbers"),
    (b"1_0,2_0,3_0,4_0,5_0,6_0", "is neither names of columns nor numbers"),
]


@pytest.mark.parametrize(("line", "message"), AMBIGUOUS, ids=[str(line) for line, _ in AMBIGUOUS])
def test_csv_first_line_that_may_be_a_header_is_refused(path, line, message):
    refused(path, line + b"\n" + text(SAMPLES), rf"samples:1: .*{message}; --header yes \(in Python header=True\) drops it")
    assert load_inputs(path, FORM, header=True).tolist() == SAMPLES.tolist()


def test_csv_with_semicolons_is_refused(path):
    refused(path, text(SAMPLES).replace(b",", b";"), "samples:1: '1;2;3;4;5;6' has values separated by semicolons, expected commas")
    refused(path, b"1,5;2,5;3,5\n", "samples:1: '1,5;2,5;3,5' has values separated by semicolons, expected commas, and decimal points")
    refused(path, text(SAMPLES).replace(b",", b"\t"), "samples:1: .* has values separated by tabs, expected commas")


@pytest.mark.parametrize("name", ["label", "Label", " class", "target", "y", "labels"])
@pytest.mark.parametrize("place", [0, 5])
def test_csv_column_of_labels_is_no_input_unless_that_is_said(path, name, place):
    names = list("abcde")
    names.insert(place, name)
    content = text([names]) + text(SAMPLES)
    refused(path, content, f"samples:1: column {place + 1} is named '{name.strip()}', and every column is read as an input; .*--header yes")
    assert load_inputs(path, FORM, header=True).tolist() == SAMPLES.tolist()


def test_csv_column_numbers_are_a_sample_if_that_is_said_or_nothing_follows(path):
    path.write_bytes(b"0,1,2,3,4,5\n" + text(SAMPLES))
    assert load_inputs(path, FORM, header=False).tolist() == [[0, 1, 2, 3, 4, 5], *SAMPLES.tolist()]
    path.write_bytes(b"0,1,2,3,4,5\n\n")
    assert load_inputs(path, FORM).tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("line", [b"0,1,2,3,4,6", b"1,2,3,4,5,6", b"0,0,0,0,0,0", b"0.0,1,2,3,4,5", b"5,4,3,2,1,0"])
def test_csv_other_numbers_are_a_sample(path, line):
    path.write_bytes(line + b"\n" + text(SAMPLES))
    assert len(load_inputs(path, FORM)) == 3


@pytest.mark.parametrize("line", [b",0,1,2,3,4,5", b",a,b,c,d,e,f", b"Unnamed: 0,a,b,c,d,e,f", b'"",a,b,c,d,e,f'])
def test_csv_of_a_data_frame_with_its_index_is_refused(path, line):
    rows = text([[k, *row] for k, row in enumerate(SAMPLES.tolist())])
    refused(
        path, line + b"\n" + rows, "samples:1: .*begins like a data frame written with its index; expected one written with index=False"
    )


def test_csv_header_that_begins_with_a_word_and_counts_is_told_how_to_go_on(path):
    refused(
        path, b"label,0,1,2,3,4\n" + text(SAMPLES), "samples:1: value 1 is 'label', expected an integer; --header yes if this line is a"
    )


@pytest.mark.parametrize(("content", "header"), [(b"7\n0\n", None), (b"0\n7\n", None), (b"label\n7\n0\n", None), (b"1\n7\n0\n", True)])
def test_csv_of_one_column_has_a_header_only_in_words(path, content, header):
    path.write_bytes(content)
    assert sorted(load_labels(path, header=header).tolist()) == [0, 7]


def test_csv_that_is_not_utf8_is_refused(path):
    refused(path, b"1,2,3,4,5,\xff\n", "damaged .csv text")


def test_csv_with_an_open_quote_is_refused(path):
    refused(path, b'"1,2,3,4,5,6\n', "damaged .csv text: unexpected end of data")


def test_csv_of_too_many_values_is_refused(path, monkeypatch):
    monkeypatch.setattr(csv_file, "MAX_ELEMENTS", 6)
    refused(path, text(SAMPLES), "samples:2: more than 6 values")
