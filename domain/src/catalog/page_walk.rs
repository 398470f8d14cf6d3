//! The way over the pages of a list that a stranger keeps.

use std::{collections::HashSet, hash::Hash};

/// Follows the pages of a list, each of which says where the next one is: to no page twice, and not for ever without
/// anything new.
#[derive(Debug)]
pub struct PageWalk<P> {
    visited: HashSet<P>,
    pages_without_news: usize,
}

/// What a page brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// The page is empty.
    Nothing,
    /// What other pages had brought.
    NothingNew,
    /// Something new.
    News,
}

/// The pages lead in a circle, or on and on without anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndlessPages;

impl Brought {
    /// What a page of so many items brought, by how many were known before it and are now.
    #[must_use]
    pub fn by(items: usize, known_before: usize, known: usize) -> Self {
        match items {
            0 => Self::Nothing,
            _ if known == known_before => Self::NothingNew,
            _ => Self::News,
        }
    }
}

impl<P: Clone + Eq + Hash> PageWalk<P> {
    /// Pages without anything new after which a list is taken for one without end.
    const MAX_PAGES_WITHOUT_NEWS: usize = 100;

    /// Begins at this page.
    #[must_use]
    pub fn new(first: P) -> Self {
        Self { visited: HashSet::from([first]), pages_without_news: 0 }
    }

    /// Where to read on after a page that leads to `next`; none at the end, which an empty page is that leads nowhere
    /// new.
    pub fn after(&mut self, brought: Brought, next: Option<P>) -> Result<Option<P>, EndlessPages> {
        self.pages_without_news += usize::from(brought != Brought::News);
        let Some(next) = next else { return Ok(None) };
        if self.pages_without_news <= Self::MAX_PAGES_WITHOUT_NEWS && self.visited.insert(next.clone()) {
            Ok(Some(next))
        } else if brought == Brought::Nothing {
            Ok(None)
        } else {
            Err(EndlessPages)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_followed_to_their_end() {
        let mut walk = PageWalk::new(0);
        assert_eq!(walk.after(Brought::News, Some(1)), Ok(Some(1)));
        assert_eq!(walk.after(Brought::Nothing, Some(2)), Ok(Some(2)), "an empty page in the middle");
        assert_eq!(walk.after(Brought::News, None), Ok(None));
    }

    #[test]
    fn a_circle_is_left_and_told_unless_it_is_empty() {
        let mut walk = PageWalk::new(0);
        assert_eq!(walk.after(Brought::News, Some(0)), Err(EndlessPages));
        assert_eq!(walk.after(Brought::Nothing, Some(0)), Ok(None));
    }

    #[test]
    fn a_list_without_end_is_left() {
        let mut walk = PageWalk::new(0);
        let follow = (1..=200).find_map(|page| walk.after(Brought::NothingNew, Some(page)).err().map(|_| page));
        assert_eq!(follow, Some(101));
    }

    #[test]
    fn what_a_page_brought_is_told_by_what_is_known() {
        let brought = [(0, 2, 2), (3, 2, 2), (3, 2, 4)].map(|(items, before, now)| Brought::by(items, before, now));
        assert_eq!(brought, [Brought::Nothing, Brought::NothingNew, Brought::News]);
    }
}
