//! `cargo run -p coupon`: see `--help`.

use std::process::ExitCode;

use coupon::{Options, System};

fn main() -> ExitCode {
    ottla_app::main(async |options: Options, interrupt| {
        let system = System::open(&options).await?;
        let report = system.run(&options, interrupt).await?;
        Ok(report.account())
    })
}
