"""A user's own defaults: which file, what stands over it, and how what is wrong in it is said."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eegvlm_rt.cli.defaults import ENVIRONMENT, configuration_path, with_defaults
from eegvlm_rt.cli.parser import build_parser
from eegvlm_rt.errors import InputError
from tests.rt.cli.cli_runs import cli, save_recording


def parsed(tmp_path: Path, text: str, *argv: str):
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    parser = build_parser()
    words, _ = with_defaults(parser, argv, path)
    return parser.parse_args(words)


class TestWhichFile:
    def test_it_is_in_the_users_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(ENVIRONMENT)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        assert configuration_path() is None
        (tmp_path / "eegvlm-rt").mkdir()
        path = tmp_path / "eegvlm-rt" / "config.toml"
        path.touch()
        assert configuration_path() == path

    def test_one_that_is_there_and_cannot_be_read_is_no_empty_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(ENVIRONMENT)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        path = tmp_path / "eegvlm-rt" / "config.toml"
        path.parent.mkdir()
        path.symlink_to("absent.toml")
        with pytest.raises(InputError, match="cannot be read: No such file"):
            with_defaults(build_parser(), ["info"], configuration_path())
        path.unlink()
        path.mkdir()
        with pytest.raises(InputError, match="cannot be read: Is a directory"):
            with_defaults(build_parser(), ["info"], configuration_path())

    def test_a_relative_folder_of_configurations_is_ignored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """XDG Base Directory Specification 0.8: paths must be absolute, others are ignored."""
        monkeypatch.delenv(ENVIRONMENT)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("XDG_CONFIG_HOME", "here")
        (tmp_path / "here" / "eegvlm-rt").mkdir(parents=True)
        (tmp_path / "here" / "eegvlm-rt" / "config.toml").touch()
        assert configuration_path() is None

    def test_the_environment_names_another_or_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(ENVIRONMENT, "/other.toml")
        assert configuration_path() == Path("/other.toml")
        monkeypatch.setenv(ENVIRONMENT, "")
        assert configuration_path() is None

    def test_one_that_the_environment_names_must_be_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "absent.toml"))
        status, _, err = cli(capsys, "info")
        assert status == 2
        assert "absent.toml" in err
        assert cli(capsys, "--version")[0] == 0
        assert cli(capsys, "stage", "--help")[0] == 0


class TestWhatCounts:
    def test_the_shared_table_counts_for_every_command_that_has_the_option(self, tmp_path: Path) -> None:
        text = '[defaults]\nmode = "head"\nthreads = 2\n'
        args = parsed(tmp_path, text, "stage", "a.edf")
        assert (args.mode, args.threads) == ("head", 2)
        assert parsed(tmp_path, text, "render", "a.edf", "-o", "a.png").epoch == 1

    def test_a_commands_own_table_is_stronger(self, tmp_path: Path) -> None:
        text = '[defaults]\nmode = "head"\n[stage]\nmode = "direct"\n'
        assert parsed(tmp_path, text, "stage", "a.edf").mode == "direct"
        assert parsed(tmp_path, text, "report", "a.edf", "-o", "a.html").mode == "head"

    @pytest.mark.parametrize("typed", [("--mode", "cot"), ("--mode=cot",), ("--mod", "cot")])
    def test_the_command_line_is_stronger_still(self, tmp_path: Path, typed: tuple[str, ...]) -> None:
        assert parsed(tmp_path, '[stage]\nmode = "direct"\n', "stage", "a.edf", *typed).mode == "cot"

    def test_a_list_is_replaced_by_the_command_line_not_added_to(self, tmp_path: Path) -> None:
        text = '[stage]\nformat = ["bids", "json"]\n'
        assert parsed(tmp_path, text, "stage", "a.edf").format == ["bids", "json"]
        assert parsed(tmp_path, text, "stage", "a.edf", "--format", "edf-rk").format == ["edf-rk"]

    def test_a_required_option_may_come_from_the_file(self, tmp_path: Path) -> None:
        assert parsed(tmp_path, '[stream]\nsource = "lsl:Amp"\n', "stream").source == "lsl:Amp"

    def test_a_switch_is_true_or_false(self, tmp_path: Path) -> None:
        assert parsed(tmp_path, "[stage]\nno_memory = true\n", "stage", "a.edf").no_memory
        assert not parsed(tmp_path, "[stage]\nno_memory = false\n", "stage", "a.edf").no_memory

    def test_a_value_that_looks_like_an_option_stays_a_value(self, tmp_path: Path) -> None:
        assert (
            parsed(tmp_path, '[stage]\nchannel = "--overwrite"\n', "stage", "a.edf").channel == "--overwrite"
        )

    def test_a_path_at_home_is_what_a_shell_would_give(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", "/home/a b")
        text = '[stage]\nbundle = "~/nano"\nchannel = "~x"\n'
        args = parsed(tmp_path, text, "stage", "a.edf")
        assert (args.bundle, args.channel) == ("/home/a b/nano", "~x")

    def test_an_editors_mark_before_the_text_is_no_part_of_it(self, tmp_path: Path) -> None:
        assert parsed(tmp_path, '\ufeff[stage]\nmode = "head"\n', "stage", "a.edf").mode == "head"

    @pytest.mark.parametrize("typed", [("-ox",), ("-o", "x"), ("--out=x",), ("--ou", "x")])
    def test_every_way_to_type_an_option_is_stronger(self, tmp_path: Path, typed: tuple[str, ...]) -> None:
        assert parsed(tmp_path, "[score]\nout = 'y'\n", "score", "a.edf", *typed).out == "x"

    def test_behind_two_dashes_stand_inputs(self, tmp_path: Path) -> None:
        args = parsed(tmp_path, "[score]\nout = 'y'\n", "score", "--", "--out")
        assert (args.out, args.inputs) == ("y", ["--out"])

    def test_the_file_of_the_page_fits_every_command(self, tmp_path: Path) -> None:
        page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
        text = page.partition("```toml\n")[2].partition("```")[0]
        assert parsed(tmp_path, text, "stage", "a.edf").threads == 2
        score = parsed(tmp_path, text, "score", "a.edf", "-o", "x")
        assert (len(score.channel), score.report) == (2, True)

    def test_what_came_from_the_file_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "config.toml"
        path.write_text('[defaults]\nmode = "head"\n')
        monkeypatch.setenv(ENVIRONMENT, str(path))
        status, out, err = cli(capsys, "stage", save_recording(tmp_path / "a.edf", epochs=1), "--json")
        assert status == 0
        assert json.loads(out.splitlines()[0])["mode"] == "head"
        assert f"defaults of {path}: --mode=head" in err


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("mode = 'head'", "outside a table"),
            ("[stagee]", "stagee"),
            ("[bundle]\n", "use [defaults] or a command"),
            ("[stage]\nmodus = 'head'", "modus"),
            ("[stage]\nmode = 'heads'", "head, direct, cot"),
            ("[stage]\nthreads = 0", "whole number from 1"),
            ("[stage]\nthreads = true", "text or a number"),
            ("[stage]\nno_memory = 'yes'", "true or false"),
            ("[stage]\nmode = ['head']", "text or a number"),
            ("[stage]\noverwrite = true", "command line"),
            ("[defaults]\noverwrite = true", "command line"),
            ("[score]\nparticipant_label = '01'", "participant_label"),
            ("[stage]\ntruth_offset = 'x'", "number"),
            ("not toml", "TOML"),
            ("[defaults]\nnothing = 1", "nothing"),
            ("[stage]\nmode = 2026-01-01", "text or a number"),
            ("[stage]\nmode = {a = 1}", "text or a number"),
            ("[stage]\nformat = [['bids']]", "text or a number"),
            ("[stage]\ntruth-offset = 1\ntruth_offset = 2", "as truth-offset too"),
            ("[stage]\nout = 'a\\u0000b'".replace("'", '"'), "NUL"),
            ("[stage]\nx = " + "[" * 9999, "nested too deeply"),
            ("[stage]\nx = " + "{a = " * 9999, "nested too deeply"),
            ("[stage]\nthreads = " + "9" * 5000, "is not TOML"),
            ("[stage]\nthreads = 0x" + "f" * 5000, "64 bits"),
            ("[stage]\nthreads = [0x" + "f" * 5000 + "]", "text or a number"),
            ("#" * 1_000_001, "larger than 1,000,000 bytes"),
        ],
    )
    def test_the_message_names_file_key_and_cure(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(InputError, match=r"config\.toml") as error:
            parsed(tmp_path, text, "stage", "a.edf")
        assert said in str(error.value)

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "config.toml"
        path.write_bytes(b"\xff\xfe[stage]")
        with pytest.raises(InputError, match="TOML"):
            with_defaults(build_parser(), ["info"], path)

    @given(text=st.text(max_size=60))
    def test_any_text_is_read_or_refused_by_type(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "any.toml"
        path.write_text(text, encoding="utf-8", errors="replace")
        with contextlib.suppress(InputError):
            with_defaults(build_parser(), ["info"], path)
