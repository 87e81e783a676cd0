//! Faults, on real Apache Kafka behind a proxy: nothing lost, nothing twice, nothing out of order, no hang.
//!
//! Left out without `OTTLA_LIVE=1`; with it a missing Java is a failure.
//! `OTTLA_LIVE=1 cargo test --test faults -- NAME` runs the tests whose name has `NAME` in it. Settings:
//!
//! - `OTTLA_FAULTS_SECONDS`: how long each storm lasts, for a soak; default a few seconds each.
//! - `OTTLA_CHURN_SECONDS`: how long members come and go in each test of `churn`; default 25.
//! - `OTTLA_SPILL_SECONDS`: how long the brokers are away in `spilling`; default 15.
//! - `OTTLA_FAULTS_SEED`: the seed of `storms::a_mix_of_everything`, which prints it.
//! - `OTTLA_FAULTS_PROXY`: lets every storm go through the proxies, so that a failure shows each batch's way.
//! - `RUST_LOG`: what the client's own log has, which goes to a file that a failure names; default `debug`.
//!
//! # Coverage
//!
//! Each row of the project's table of faults, and what covers it. `application`, `churn`, `outages`, `reading`, `scripted`,
//! `spilling` and `storms` are in `tests/faults`, `live` is `tests/live`; the others are unit tests in `src`.
//!
//! | Connection | covered by |
//! |---|---|
//! | reset after a Produce was written | storms::answers_are_dropped, storms::connections_are_cut_in_the_middle_of_requests, scripted::a_swallowed_request_is_sent_again |
//! | half-open peer, SIGSTOP | storms::a_broker_is_paused_for_15_seconds, outages::a_silent_broker_holds_up_no_other |
//! | broker swallows one request | scripted::a_swallowed_request_is_sent_again, net::tests::ends::a_swallowed_request_times_out_and_voids_the_later_ones |
//! | partial write, then cancel or timeout | scripted::a_buffer_is_not_reused_while_its_bytes_are_on_the_way, scripted::a_delivery_timeout_in_flight_is_not_definite, net::tests::answers::a_call_cancelled_half_written_is_written_whole, net::tests::ends::a_cut_in_the_middle_of_a_request_says_which_were_sent |
//! | answers byte by byte, or many in one read | net::tests::answers::answers_are_reassembled_byte_by_byte, net::tests::answers::many_answers_in_one_read_reach_their_own_requests |
//! | negative, oversized, truncated frame; trailing bytes; wrong correlation id | scripted::a_garbled_answer_costs_the_connection_and_no_record, net::tests::ends::frames_that_are_not_answers_close_the_connection |
//! | peer is an HTTP or TLS server | application::a_server_that_is_no_kafka_is_named, net::tests::peers::http_and_tls_servers_are_recognised |
//! | ApiVersions unsupported version | net::tests::peers::api_versions_is_downgraded_to_what_the_broker_names, net::tests::peers::downgrading_api_versions_ends_when_every_version_is_refused |
//! | all brokers gone, new addresses | outages::a_cluster_that_moved_is_found_by_its_bootstrap_address, outages::a_server_that_sends_away_is_left_for_the_bootstrap_servers, outages::records_accepted_in_an_outage_are_delivered_after_it, outages::one_or_two_of_three_bootstrap_servers_may_be_down |
//! | one slow broker | outages::a_silent_broker_holds_up_no_other, outages::a_silent_broker_holds_up_no_new_producer, outages::a_broker_that_is_gone_is_soon_left_alone, scripted::a_throttled_broker_is_left_alone_and_no_other |
//!
//! | Produce | covered by |
//! |---|---|
//! | NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, LEADER_NOT_AVAILABLE | scripted::refused_batches_are_sent_again_in_order, scripted::a_first_batch_refused_is_not_overtaken, storms::leaders_move_to_and_fro, storms::the_leader_is_killed_and_comes_back, storms::all_brokers_are_restarted_one_after_another |
//! | UNKNOWN_TOPIC_OR_PARTITION, topic briefly absent from metadata | scripted::a_topic_briefly_absent_loses_nothing, scripted::refused_batches_are_sent_again_in_order |
//! | MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE | scripted::a_batch_too_large_is_split_in_order, scripted::a_record_too_large_fails_alone, live::size |
//! | OUT_OF_ORDER_SEQUENCE, not the head of the queue | scripted::refused_batches_are_sent_again_in_order (the batches behind the refused one; the epoch stays) |
//! | OUT_OF_ORDER_SEQUENCE at the head | scripted::sequences_restart_from_the_head_under_a_new_epoch, scripted::an_epoch_never_goes_back, scripted::what_a_restarted_broker_forgot_is_known_from_the_batch_after_it |
//! | DUPLICATE_SEQUENCE_NUMBER | scripted::a_duplicate_is_an_acknowledgement_without_an_offset |
//! | UNKNOWN_PRODUCER_ID | scripted::sequences_restart_from_the_head_under_a_new_epoch |
//! | INVALID_PRODUCER_EPOCH, PRODUCER_FENCED | scripted::sequences_restart_from_the_head_under_a_new_epoch |
//! | throttle time | scripted::a_throttled_broker_is_left_alone_and_no_other, scripted::a_throttle_longer_than_the_request_timeout_costs_nothing, live::acknowledgements::a_throttling_broker_is_left_alone |
//! | REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS_AFTER_APPEND | scripted::unknown_outcomes_are_settled_by_sending_again, scripted::a_record_that_may_be_written_never_fails_as_not_written |
//! | delivery timeout while queued | scripted::a_delivery_timeout_in_the_queue_is_definite, storms::what_times_out_in_a_storm_fails_honestly |
//! | delivery timeout in flight | scripted::a_delivery_timeout_in_flight_is_not_definite, scripted::a_buffer_is_not_reused_while_its_bytes_are_on_the_way, storms::what_times_out_in_a_storm_fails_honestly, storms::what_has_no_retries_left_fails_honestly |
//! | INVALID_RECORD and KIP-467 record errors | scripted::refused_records_fail_and_the_others_of_their_batch_do_not, live::acknowledgements::order_holds_while_records_are_refused |
//! | KAFKA_STORAGE_ERROR, NOT_ENOUGH_REPLICAS, NETWORK_EXCEPTION | scripted::refused_batches_are_sent_again_in_order, scripted::unknown_outcomes_are_settled_by_sending_again |
//! | TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED | scripted::a_topic_not_authorized_fails_the_batch_alone, scripted::a_cluster_not_authorized_is_fatal |
//! | sequence at i32::MAX | machine::produce::sequence::tests::sequence_wraps_to_zero_after_the_largest_i32 |
//! | topic deleted and recreated | live::topics::a_topic_deleted_and_created_again_goes_on, live::topics::a_recreated_topic_goes_on_under_load, scripted::a_first_batch_of_a_topic_created_again_is_not_overtaken, scripted::a_late_answer_of_a_deleted_topic_proves_nothing_of_the_new_one |
//!
//! | Consume | covered by |
//! |---|---|
//! | OFFSET_OUT_OF_RANGE | live::consuming::a_position_that_is_gone_is_reset_or_told, reading::records_deleted_before_they_were_read_are_passed_over_or_told, reading::what_a_replica_lacks_the_leader_is_asked_for, consumer::positions::tests::retention_that_passes_what_is_fetched_next_takes_nothing_from_what_is_buffered, machine::fetch::tests::what_was_asked_for_before_a_seek_is_not_expected_after_it |
//! | log truncated (leader epoch older) | reading::a_truncated_log_goes_on_where_the_logs_part, reading::a_lookup_that_fails_for_good_resets_nothing, consumer::positions::tests::a_log_cut_before_the_position_goes_on_at_the_cut_or_is_told, consumer::positions::tests::what_is_left_of_what_was_fetched_ahead_is_handed_out_after_a_truncation |
//! | FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH | reading::what_is_refused_is_asked_again, reading::a_lookup_that_fails_for_good_resets_nothing, reading::leaders_move_to_and_fro, reading::brokers_are_killed_paused_and_restarted, machine::fetch::verdict::tests::every_code_of_a_fetch_has_one_meaning |
//! | answer arriving after seek, pause, revoke | live::consuming::a_seek_lets_nothing_stale_through, live::consuming::a_pause_keeps_what_is_buffered, churn::nothing_is_lost_or_skipped_by_range, machine::fetch::tests::what_was_asked_for_before_a_seek_is_not_expected_after_it |
//! | REBALANCE_IN_PROGRESS on commit | consumer::offsets::tests::a_rebalance_is_told_to_whoever_asked_and_to_the_member, consumer::offsets::tests::parting_waits_for_the_generation_in_which_it_counts, churn::nothing_is_lost_or_skipped_by_cooperative_sticky |
//! | UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION | consumer::membership::tests::a_lost_member_joins_anew_without_committing, consumer::membership::tests::what_was_lost_before_it_could_be_given_up_is_told_as_lost, consumer::offsets::tests::a_member_that_is_none_any_more_cannot_commit, churn::nothing_is_lost_or_skipped_by_cooperative_sticky |
//! | FENCED_INSTANCE_ID | machine::group::classic::tests::steps::a_fenced_static_member_stops_for_good, consumer::membership::tests::what_was_lost_before_it_could_be_given_up_is_told_as_lost |
//! | COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR | churn::a_coordinator_that_dies_or_freezes_is_left, consumer::offsets::tests::a_coordinator_that_moved_is_found_again, consumer::offsets::tests::what_passes_is_tried_again_with_what_is_left, machine::group::classic::tests::steps::a_coordinator_that_moves_costs_nothing |
//! | coordinator gone for longer than a session, and back | live::groups::handlers_that_block_every_worker_keep_their_groups_when_the_coordinator_restarts, machine::group::classic::tests::session::a_coordinator_that_is_silent_for_a_session_costs_no_partition_and_nothing_is_handed_out_meanwhile, consumer::membership::tests::a_coordinator_that_is_gone_for_a_session_costs_nothing_and_nothing_is_handed_out_until_it_is_back |
//! | max.poll.interval exceeded | live::groups::a_slow_handler_is_told_so_and_may_come_back, consumer::membership::tests::an_application_that_does_not_call_is_told_so_and_comes_back |
//! | cooperative hand-over | churn::nothing_is_lost_or_skipped_by_cooperative_sticky, churn::a_partition_that_stays_is_never_interrupted, machine::group::assign::tests::cooperative_waits_for_a_member_that_wants_the_topic_no_longer, machine::group::classic::tests::world::partitions_that_stay_are_never_interrupted_in_a_cooperative_group |
//! | bad CRC | reading::damage_is_told_and_may_be_skipped, machine::fetch::tests::a_damaged_batch_is_told_after_the_records_before_it |
//! | aborted transactions unsorted, duplicate markers | machine::fetch::tests::aborted_transactions_are_left_out_in_whatever_order_and_however_often_they_are_told, live::java_transactions::exactly_the_committed_records_come_up_to_an_open_one |
//! | only control or aborted batches; compacted gap; empty batch | machine::fetch::tests::compacted_gaps_and_empty_batches_move_the_position_behind_them, live::java_transactions::exactly_the_committed_records_come_up_to_an_open_one, live::java_compacted::what_is_left_comes_in_order_and_from_any_offset_on |
//! | record larger than the fetch size | live::java_records::a_record_larger_than_any_limit_of_a_fetch_comes |
//! | partial last batch | batch::tests::hostile::a_partial_last_batch_ends_iteration_quietly, live::java_records::a_record_larger_than_any_limit_of_a_fetch_comes |
//! | batch that starts before the position | machine::fetch::tests::a_batch_that_starts_before_the_position_is_filtered, live::consuming::a_seek_lets_nothing_stale_through |
//! | negative or huge record, header, array counts | batch::tests::hostile::record_counts_that_do_not_fit_are_errors, batch::tests::hostile::header_counts_and_lengths_that_do_not_fit_are_errors, wire::fetch::tests::counts_beyond_the_bytes_that_are_left_are_refused, wire::fetch::tests::hostile_lengths_anywhere_in_an_answer_never_panic |
//! | unknown preferred replica | reading::an_unknown_replica_is_left_for_the_leader, reading::a_replica_that_dies_is_left_for_the_leader, reading::a_replica_whose_time_is_up_is_left_for_the_leader |
//! | partitions added | live::groups::new_topics_and_partitions_are_read, consumer::membership::tests::the_leader_joins_again_when_a_topic_grows_or_appears |
//! | topic deleted and created again | reading::a_topic_created_again_is_read_from_its_beginning, consumer::positions::tests::nothing_of_a_deleted_topic_counts_for_the_one_created_after_it |
//! | members that come, go and die | churn::nothing_is_lost_or_skipped_by_range, churn::nothing_is_lost_or_skipped_by_cooperative_sticky |
//! | one slow or silent broker | reading::a_silent_broker_holds_up_no_other |
//!
//! | The application | covered by |
//! |---|---|
//! | send future dropped | live::lifetime::a_dropped_send_is_sent_once_or_not_at_all, live::buffer::a_dropped_waiter_leaves_the_line_and_nothing_behind |
//! | recv future dropped | live::consuming::a_dropped_call_loses_nothing |
//! | runtime shut down without close | churn::nothing_is_lost_or_skipped_by_range, live::lifetime::a_runtime_that_ends_resolves_every_delivery, live::lifetime::a_runtime_that_ends_wakes_those_who_wait |
//! | callback panics | consumer::membership::tests::a_listener_that_panics_does_not_end_the_membership, live::partitioning::a_partitioner_that_fails_fails_the_one_record |
//! | callback calls back into the client | live::groups::a_listener_commits_before_it_gives_up, application::a_partitioner_may_call_the_producer |
//! | killed while the cluster is away, restarted meanwhile | spilling::what_an_application_was_told_is_safe_outlasts_kills_in_an_outage |
//! | record above max.request.size | live::size::a_record_above_max_request_size_fails_at_once |
//! | empty key or value against null; duplicate headers; empty header key | live::round_trip::null_and_empty_keys_and_values_stay_distinct, live::round_trip::headers_keep_order_duplicates_nulls_and_empty_names |
//! | buffer full | live::buffer::a_full_buffer_fails_within_a_tenth_of_max_block, live::buffer::waiters_are_served_first_come_first_served, live::buffer::try_enqueue_gives_the_record_back |
//! | close under load | live::closing::close_under_load_resolves_everything_accepted, live::closing::close_keeps_its_deadline_while_the_broker_hangs |

// A test that fails by a panic says where; its author need not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod faults {
    pub(crate) mod application;
    pub(crate) mod checker;
    pub(crate) mod churn;
    pub(crate) mod frames;
    pub(crate) mod load;
    pub(crate) mod outages;
    pub(crate) mod proxies;
    pub(crate) mod proxy;
    pub(crate) mod reading;
    pub(crate) mod scripted;
    pub(crate) mod silence;
    pub(crate) mod spilling;
    pub(crate) mod storms;
    pub(crate) mod trace;
    pub(crate) mod world;
}

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use faults::churn::{self, ledger};
use faults::world::World;
use faults::{application, checker, load, outages, reading, scripted, spilling, storms};
use kafka_cluster::suite::Suite;
use libtest_mimic::{Failed, Trial};

fn main() -> ExitCode {
    if let Some(ended) = spilling::application() {
        return ended;
    }
    let mut suite = Suite::from_args(&[]);
    // One cluster, and one fault at a time.
    suite.arguments.test_threads = Some(1);
    let world = World::new().expect("a runtime starts");
    let mut live = scripted::trials(&world);
    live.extend(storms::trials(&world));
    live.extend(outages::trials(&world));
    live.extend(spilling::trials(&world));
    live.extend(application::trials(&world));
    live.extend(reading::trials(&world));
    live.extend(churn::trials(&world));
    let names: Vec<String> = live.iter().map(|trial| trial.name().to_owned()).collect();
    let mut trials = pure();
    trials.push(Trial::test(
        "coverage::every_test_of_the_table_exists",
        move || coverage(&names),
    ));
    trials.extend(live.into_iter().map(|trial| suite.gate(trial)));
    let conclusion = suite.run(trials);
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
        ledger:
            a_group_that_hands_over_properly_passes,
            a_commit_one_too_far_is_found,
            a_position_skipped_is_found_though_the_record_comes_later,
            going_back_is_found,
            a_record_twice_needs_a_kill_or_a_loss,
            one_that_is_dropped_repeats_its_last_call_at_most,
            a_record_lost_is_found,
            a_record_with_other_bytes_is_found,
            a_stale_record_is_found,
            two_owners_at_once_are_found_unless_one_lost_it,
            a_partition_that_stays_and_is_interrupted_is_found;
        load: a_value_is_known_by_every_byte;
    }
}

/// Looks up each test that the table above names.
fn coverage(names: &[String]) -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = include_str!("faults.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "));
    let words = table.flat_map(|row| row.split([' ', ',', '|', '(', ';']));
    let mut named = 0;
    for word in words.filter(|word| word.contains("::") && *word != "i32::MAX") {
        named += 1;
        let mut path: Vec<&str> = word.split("::").collect();
        let own = [
            "application",
            "churn",
            "outages",
            "reading",
            "scripted",
            "spilling",
            "storms",
        ]
        .contains(&path[0]);
        let exists = if own {
            names.iter().any(|name| name == word)
        } else {
            let name = path.pop().unwrap_or_default();
            let dir = root.join(if path[0] == "live" { "tests" } else { "src" });
            let has = |path: &[&str]| {
                let file = path.iter().fold(dir.clone(), |dir, part| dir.join(part));
                let text = fs::read_to_string(file.with_extension("rs"));
                text.is_ok_and(|text| text.contains(name))
            };
            // A module of tests is in its parent's file, or in one of its own.
            has(&path) || path.pop_if(|part| *part == "tests").is_some() && has(&path)
        };
        if !exists {
            return Err(format!("there is no {word}").into());
        }
    }
    assert!(named > 50, "the table was not found");
    Ok(())
}
