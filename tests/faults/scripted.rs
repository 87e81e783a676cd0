//! Answers that a real broker gives seldom, put in place by the proxy; the log stays a real broker's.
//!
//! An answer that says "not written" is given by the proxy without forwarding the request; one that
//! leaves that open takes the place of the broker's own, so that the records are in the log.

mod lateness;
mod refusals;
mod sequences;
mod stage;

use libtest_mimic::Trial;

use super::world::World;

pub(crate) fn trials(world: &World) -> Vec<Trial> {
    vec![
        world.live(
            "scripted::refused_batches_are_sent_again_in_order",
            sequences::refused,
        ),
        world.live(
            "scripted::a_first_batch_refused_is_not_overtaken",
            sequences::first_refused,
        ),
        world.live(
            "scripted::a_first_batch_of_a_topic_created_again_is_not_overtaken",
            sequences::first_of_new_topic_refused,
        ),
        world.live(
            "scripted::a_late_answer_of_a_deleted_topic_proves_nothing_of_the_new_one",
            sequences::late_answers_of_old_topic,
        ),
        world.live(
            "scripted::unknown_outcomes_are_settled_by_sending_again",
            sequences::unknown_outcome,
        ),
        world.live(
            "scripted::a_record_that_may_be_written_never_fails_as_not_written",
            sequences::honest_failure,
        ),
        world.live(
            "scripted::sequences_restart_from_the_head_under_a_new_epoch",
            sequences::restarted,
        ),
        world.live(
            "scripted::an_epoch_never_goes_back",
            sequences::stale_identity,
        ),
        world.live(
            "scripted::a_duplicate_is_an_acknowledgement_without_an_offset",
            sequences::duplicate,
        ),
        world.live(
            "scripted::what_a_restarted_broker_forgot_is_known_from_the_batch_after_it",
            sequences::forgotten,
        ),
        world.live(
            "scripted::a_batch_too_large_is_split_in_order",
            refusals::too_large,
        ),
        world.live(
            "scripted::a_record_too_large_fails_alone",
            refusals::single_too_large,
        ),
        world.live(
            "scripted::a_topic_not_authorized_fails_the_batch_alone",
            refusals::topic_forbidden,
        ),
        world.live(
            "scripted::a_cluster_not_authorized_is_fatal",
            refusals::cluster_forbidden,
        ),
        world.live(
            "scripted::a_topic_briefly_absent_loses_nothing",
            refusals::absent_topic,
        ),
        world.live(
            "scripted::a_throttled_broker_is_left_alone_and_no_other",
            refusals::throttled,
        ),
        world.live(
            "scripted::a_throttle_longer_than_the_request_timeout_costs_nothing",
            refusals::long_throttle,
        ),
        world.live(
            "scripted::a_delivery_timeout_in_the_queue_is_definite",
            lateness::queued_timeout,
        ),
        world.live(
            "scripted::a_delivery_timeout_in_flight_is_not_definite",
            lateness::flying_timeout,
        ),
        world.live(
            "scripted::a_buffer_is_not_reused_while_its_bytes_are_on_the_way",
            lateness::reused_buffer,
        ),
        world.live(
            "scripted::a_swallowed_request_is_sent_again",
            lateness::swallowed,
        ),
        world.live(
            "scripted::a_garbled_answer_costs_the_connection_and_no_record",
            lateness::garbled,
        ),
        world.live(
            "scripted::refused_records_fail_and_the_others_of_their_batch_do_not",
            refusals::bad_records,
        ),
    ]
}
