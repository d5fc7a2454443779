"""What is printed says what it was given."""

from rich.table import Table

from brainseg_jax import terminal


def test_names_in_brackets_are_printed_as_they_are(capsys):
    # Of rich [red] is a colour, [/x] an error, and :brain: a picture.
    names = ["tumour [red]", "core [/x]", "a:brain:b"]
    table = Table("what is marked", title="on [red] fold")
    for name in names:
        table.add_row(name)

    terminal.show(table, "Tables: runs/[/x]")

    printed = capsys.readouterr().out
    for name in (*names, "on [red] fold", "Tables: runs/[/x]"):
        assert name in printed
