"""`islet rules` and `islet audit`, as somebody who sets up an installation uses them."""

from pathlib import Path

from islet.opened import opened_registry
from islet.settings import Settings
from tests.commands.test_commands import Shell

RULE = (
    '/*\nname = "mine"\ntitle = "Mine"\nseverity = "notice"\n*/\n'
    "SELECT patient, device, ts FROM readings WHERE glucose_mg_dl > 300\n"
)


def test_a_rule_is_checked_added_set_reset_and_removed_and_all_of_it_is_in_the_trail(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    file = tmp_path / "mine.sql"
    file.write_text(RULE, encoding="utf-8")
    assert "mine is a rule that can run" in shell.ok("rules", "check", str(file))
    shell.ok("rules", "add", str(file), "--by", "wang")
    shell.ok("patients", "add", "p-1")
    assert "low_alarm_mg_dl = 80" in shell.ok("rules", "set", "low", "--patient", "p-1", "low_alarm_mg_dl=80")
    assert "80 mg/dL (patient)" in shell.ok("rules", "list", "--patient", "p-1")
    assert "低血糖" in shell.ok("rules", "list", "--lang", "zh-CN")
    shell.ok("rules", "reset", "low", "--patient", "p-1")
    shell.ok("rules", "remove", "mine")
    assert "wang (account " in shell.ok("audit", "list")
    assert "5 lines, all whole" in shell.ok("audit", "verify")
    assert "nobody can switch it off" in shell.refused("rules", "set", "urgent_low", "--off")


def test_a_rule_that_cannot_run_is_told_with_line_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "mine.sql"
    file.write_text(RULE.replace("glucose_mg_dl", "glucose"), encoding="utf-8")
    result = Shell(tmp_path).run("rules", "check", str(file))
    assert result.exit_code == 1
    assert "line 6: unknown column 'glucose'; there are" in result.output


def test_the_name_of_a_shipped_rule_is_refused_by_the_check_already(tmp_path: Path) -> None:
    file = tmp_path / "low.sql"
    file.write_text(RULE.replace("mine", "low"), encoding="utf-8")
    result = Shell(tmp_path).run("rules", "check", str(file))
    assert (result.exit_code, "line 2: 'low' is a rule that is shipped" in result.output) == (1, True)


def test_a_file_that_is_no_text_is_refused_in_one_sentence(tmp_path: Path) -> None:
    shell, file = Shell(tmp_path), tmp_path / "mine.sql"
    file.write_bytes(RULE.encode("utf-16"))
    shell.ok("patients", "add", "p-1")
    assert f"{file}: expected text in UTF-8" in shell.run("rules", "check", str(file)).output
    assert "expected text in UTF-8" in shell.refused("rules", "add", str(file))
    assert "expected text in UTF-8" in shell.refused("rules", "try", str(file), "--patient", "p-1")


def test_days_have_to_be_a_number(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.ok("patients", "add", "p-1")
    assert shell.run("rules", "try", "low", "--patient", "p-1", "--days", "nan").exit_code == 2


def test_a_trail_that_was_changed_is_told(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.ok("rules", "set", "high", "--off")
    shell.ok("rules", "set", "high", "--on")
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        writer = vars(registry)["_writer"]
        line = writer.execute("SELECT line FROM audit WHERE number = 1").get
        writer.execute("DROP TRIGGER audit_is_not_changed")
        writer.execute("UPDATE audit SET line = ? WHERE number = 1", (line.replace(b"account", b"ACCOUNT"),))
    result = shell.run("audit", "verify")
    assert (result.exit_code, "line 1 does not follow" in result.output) == (1, True)
