//! Faults, on real Apache Kafka behind a proxy.

mod faults {
    pub(crate) mod checker;
    pub(crate) mod frames;
    pub(crate) mod load;
    pub(crate) mod outages;
    pub(crate) mod proxy;
    pub(crate) mod scripted;
    pub(crate) mod storms;
    pub(crate) mod trace;
    pub(crate) mod world;
}

use std::process::ExitCode;

use faults::world::World;
use faults::{checker, load, outages, scripted, storms};
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One cluster, and one fault at a time.
    arguments.test_threads = Some(1);
    let missing = kafka_cluster::available().err();
    if let Some(reason) = &missing {
        eprintln!("live tests are ignored: {reason}");
    }
    let must = std::env::var_os("OTTLA_LIVE").is_some_and(|value| value == "1");
    let world = World::new().expect("a runtime starts");
    let mut live = scripted::trials(&world);
    live.extend(storms::trials(&world));
    live.extend(outages::trials(&world));
    let ignored = missing.is_some() && !must;
    let mut trials = pure();
    trials.extend(
        live.into_iter()
            .map(|trial| trial.with_ignored_flag(ignored)),
    );
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Here, and not by the end of the process, so that the brokers end and their files go.
    world.end(conclusion.has_failed());
    conclusion.exit_code()
}

/// Tests that need no cluster.
fn pure() -> Vec<Trial> {
    macro_rules! trials {
        ($($module:ident: $($name:ident),* $(,)?;)*) => {
            vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
                $module::tests::$name();
                Ok(())
            }),)*)*]
        };
    }
    trials! {
        checker:
            an_honest_log_passes_in_whatever_order_it_was_read,
            a_sequence_reused_is_found,
            a_record_twice_is_found_even_if_only_possibly_written,
            a_dropped_batch_is_found,
            an_offset_off_by_one_is_found,
            a_record_in_another_partition_is_found,
            two_swapped_records_are_found,
            a_definite_failure_that_is_in_the_log_is_found,
            a_record_that_nobody_sent_is_found;
        load: a_value_is_known_by_every_byte;
    }
}
