//! The program as people run it: its account, its exit status, what it says of wrong options, and Ctrl-C.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;

use ottla_app_testing::{Ended, Program, folder};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn start(line: &str) -> std::io::Result<Program> {
    Program::start(env!("CARGO_BIN_EXE_coupon"), line.split_whitespace())
}

fn run(line: &str) -> Result<Ended, Box<dyn std::error::Error>> {
    Ok(start(line)?.end()?)
}

#[test]
fn without_options_it_hands_out_exactly_100_coupons() -> Outcome {
    let ended = run("")?;
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let well = "all is well: exactly 100 coupons, for 100 different users\n";
    assert!(ended.printed.ends_with(well), "{ended:?}");
    assert_eq!(ended.said, "");
    Ok(())
}

#[test]
fn a_wrong_option_is_named_and_nothing_is_begun() -> Outcome {
    let folder = folder("coupon")?;
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).map(|()| path.display().to_string())
    };
    let mistyped = file("mistyped.toml", "[kafka]\nlinger.mns = 20\n")?;
    let torn = file("torn.toml", "[kafka\n")?;
    let at_odds = file(
        "at_odds.toml",
        "[kafka]\nacks = 1\nenable.idempotence = true\n",
    )?;
    for (line, told) in [
        ("--applicants many", "--applicants"),
        ("--applicants -1", "-1"),
        ("--workers 0", "--workers"),
        ("--members 101", "--members"),
        ("--nonsense", "--nonsense"),
        ("--profile nowhere", "--profile nowhere"),
        ("--redis nonsense", "--redis"),
        ("--database postgres://x/y", "--database"),
        ("--bootstrap nowhere", "--bootstrap"),
        ("--config /nowhere/x.toml", "--config /nowhere/x.toml"),
        (
            &format!("--config {mistyped}"),
            r#"unknown setting "linger.mns": did you mean "linger.ms"?"#,
        ),
        (&format!("--config {torn}"), "torn.toml"),
        (&format!("--config {at_odds}"), "acks"),
    ] {
        // A database file would be the first thing to be made.
        let database = folder.path().join("coupons.db");
        let with = match line.contains("--database") {
            true => line.to_owned(),
            false => format!("{line} --database sqlite:{}", database.display()),
        };
        let ended = run(&with)?;
        assert_eq!(ended.status, Some(2), "{line}: {ended:?}");
        assert!(ended.said.contains(told), "{line}: {ended:?}");
        assert_eq!(ended.printed, "", "{line}");
        assert!(!database.exists(), "{line} has begun something");
    }
    Ok(())
}

#[test]
fn a_part_that_is_not_there_is_named_and_the_status_is_1() -> Outcome {
    let ended = run("--bootstrap 127.0.0.1:1")?;
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.said.contains("127.0.0.1:1"), "{ended:?}");
    let ended = run("--database sqlite:/nowhere/coupons.db")?;
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.said.contains("/nowhere/coupons.db"), "{ended:?}");
    Ok(())
}

#[test]
fn it_serves_until_it_is_interrupted_and_then_accounts() -> Outcome {
    for signal in ["INT", "TERM"] {
        let mut program = start("--serve")?;
        program.says("until Ctrl-C")?;
        program.signal(signal)?;
        let ended = program.end()?;
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(ended.printed.contains("all is well"), "{ended:?}");
    }
    Ok(())
}
