//! What every `MetricsRepository` must do, as tests that run on each store.
//!
//! A store passes with `staticreg_contract::contract_suite!(subject);` in a test of its crate, where `subject` is an
//! async function that answers a new [`Subject`]; one that several servers share, with `shared_contract_suite!`. A new rule is a function in the module it belongs to and its name in
//! the macro's list.
//!
//! What keeps API tokens passes `api_tokens_suite!` in the same way, what keeps lists of what runs `running_suite!`.

pub mod api_tokens;
pub mod archive;
pub mod by_hand;
pub mod events;
pub mod filters;
pub mod folding;
pub mod journal;
pub mod lists;
pub mod paging;
pub mod questions;
pub mod recording;
pub mod running;

use std::{any::Any, sync::Arc};

use staticreg_domain::metrics::MetricsRepository;

/// An empty store.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn MetricsRepository>,
    /// The same counts, as a second server has them.
    pub second: Arc<dyn MetricsRepository>,
    /// What the store lives in; dropped after it.
    pub home: Box<dyn Any + Send>,
}

/// Makes every rule a test of its own.
#[macro_export]
macro_rules! contract_suite {
    ($subject:path) => {
        $crate::contract_suite! { $subject:
            recording::an_event_counts_once_in_its_row,
            recording::an_event_given_again_changes_nothing,
            recording::of_an_id_twice_in_a_batch_the_first_event_counts,
            recording::the_new_events_of_a_batch_count_beside_known_ones,
            recording::a_refused_batch_leaves_nothing,
            recording::a_sum_out_of_range_is_refused,
            recording::batches_at_once_in_opposite_orders_are_summed_exactly,
            recording::the_same_events_at_two_servers_at_once_count_once,
            recording::counts_go_by_the_date_of_their_key,
            recording::one_event_may_move_a_count,
            recording::a_count_of_zero_shows_nowhere,
            recording::a_count_that_fell_to_zero_begins_anew,
            recording::what_is_not_there_cannot_be_taken_back,
            recording::counts_that_are_taken_back_while_others_add_stay_exact,
            recording::kinds_are_kept_apart,
            recording::an_event_that_changes_nothing_is_remembered,
            recording::an_empty_batch_is_recorded,
            recording::ids_are_forgotten_oldest_first_and_then_count_again,
            recording::times_are_of_the_first_batch_and_of_the_latest_access,
            recording::a_large_batch_is_summed_by_key,
            recording::a_store_that_records_says_so,
            journal::a_batch_is_stored_behind_the_last_row_or_not_at_all,
            journal::a_batch_of_a_recorded_id_is_not_stored,
            journal::a_refused_batch_leaves_no_row,
            journal::a_count_that_a_batch_takes_back_is_gone,
            journal::a_turn_tells_the_end_and_which_ids_are_recorded,
            journal::servers_in_turn_store_every_batch_at_the_first_try,
            journal::a_server_that_takes_no_turn_meets_one_that_does,
            folding::nothing_is_kept_by_month_at_first,
            folding::a_month_that_is_folded_has_the_same_sums,
            folding::every_question_sums_what_is_folded,
            folding::a_fold_that_was_cut_short_goes_on,
            folding::what_is_kept_by_month_is_so_for_good,
            folding::what_changes_old_counts_later_changes_those_of_the_month,
            folding::what_is_taken_back_before_it_is_folded_is_found,
            folding::sums_stay_exact_while_old_days_change,
            folding::a_count_that_a_month_has_no_room_for_stays,
            folding::digests_are_dropped_where_that_is_asked_for,
            folding::counts_of_days_before_one_are_forgotten,
            questions::an_empty_store_answers_every_question,
            questions::pulls_are_listed_by_date_then_group,
            questions::repositories_are_listed_most_pulled_first,
            questions::images_are_listed_most_pulled_first,
            questions::architectures_are_listed_most_pulled_first,
            questions::tags_are_listed_most_pulled_first,
            questions::digests_are_listed_latest_pulled_first,
            questions::rows_are_listed_latest_date_first,
            questions::every_breakdown_sums_the_rows,
            questions::every_breakdown_tells_the_counts_of_the_dates_before,
            questions::what_grew_and_what_shrank_is_told,
            filters::every_question_takes_every_filter,
            filters::several_values_are_counted_together,
            filters::folders_hold_what_lies_below_their_path,
            filters::repositories_are_found_by_a_part_of_their_names,
            questions::dates_decide_ranges_and_times_do_not,
            questions::all_of_time_is_a_range,
            questions::text_is_ordered_by_its_bytes,
            questions::the_summary_counts_spans_that_end_today,
            questions::the_summary_tells_repositories_and_the_last_pull,
            paging::no_page_loses_or_doubles_an_item,
            paging::a_place_between_items_is_a_place_too,
        }
    };
    ($subject:path: $($module:ident::$rule:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $crate::$module::$rule($subject().await).await;
            }
        )*
    };
}

/// The same of a store that several servers share and that outlives them.
#[macro_export]
macro_rules! shared_contract_suite {
    ($subject:path) => {
        $crate::contract_suite!($subject);
        $crate::contract_suite! { $subject:
            journal::another_server_reads_what_was_stored,
            journal::a_history_that_was_cut_does_not_continue,
            journal::rows_are_forgotten_oldest_first_and_never_the_last,
            archive::an_archived_id_is_known_to_all_ways_of_recording,
            archive::an_id_of_a_clock_that_is_ahead_is_archived_when_it_is_old,
            archive::archived_ids_are_forgotten_and_then_count_again,
        }
    };
}

/// The same of what keeps API tokens; the subject is an [`api_tokens::Subject`].
#[macro_export]
macro_rules! api_tokens_suite {
    ($subject:path) => {
        $crate::contract_suite! { $subject:
            api_tokens::a_token_is_listed_as_it_was_made,
            api_tokens::of_those_made_at_once_under_one_name_one_is_kept,
            api_tokens::a_name_is_free_again_once_its_token_is_revoked_or_has_expired,
            api_tokens::only_a_living_token_can_be_revoked,
            api_tokens::those_that_ended_long_ago_are_not_read_again_and_again,
            api_tokens::the_latest_use_is_noted,
        }
    };
}

/// The same of what keeps lists of what runs; the subject is a [`running::Subject`].
#[macro_export]
macro_rules! running_suite {
    ($subject:path) => {
        $crate::contract_suite! { $subject:
            running::a_list_is_kept_as_it_was_told,
            running::a_list_takes_the_place_of_its_sources_own,
            running::sources_are_ordered_by_their_bytes,
            running::a_long_list_is_kept_whole,
        }
    };
}
