//! What an access means after those before it: the rule, row by row.
//!
//! Nothing is counted here, and nothing depends on more than the accesses before, in their order, and on what is known
//! of indexes.

use std::collections::VecDeque;

use super::{
    hashes::Hashed,
    known::{ArchitectureId, Known},
    trail::{Access, Accesses, CHILD_WINDOW, Outcome, Place, SECOND, TAG_LOOK_UP_WINDOW, WINDOW, is_within},
};
use crate::{Action, ManifestKind, Tag};

/// Where the accesses of one client in one repository have led to: what a later one may belong to.
///
/// It is made from the accesses of the window by [`State::note`] alone, so it can be made anew at any place. It holds
/// places only, and those of forgotten accesses lead nowhere: it tells the same whether it was kept or made anew.
#[derive(Debug, Default)]
pub(super) struct State {
    manifests: Hashed<Manifest>,
    /// The latest fetch of each image, by its digest.
    fetched: Hashed<Place>,
    /// The accesses to signatures, attachments and lists of these.
    referrers: VecDeque<Place>,
    /// How many accesses were noted, and which one last.
    noted: usize,
    noted_to: Option<Place>,
    /// Until when old places need not be dropped.
    clean_until: i64,
}

/// What was done with one manifest.
#[derive(Debug, Default)]
struct Manifest {
    is_index: bool,
    /// The unused HEADs, in order.
    look_ups: VecDeque<Place>,
    /// The pulls of this index, by the children they have.
    pulls: Vec<Pulls>,
}

/// The pulls of an index that have the same children.
#[derive(Debug)]
struct Pulls {
    children: Vec<u64>,
    /// The architecture of the image that was there when they began.
    shared: Option<ArchitectureId>,
    /// In order.
    roots: VecDeque<Place>,
}

/// An access that is read, and what it is read with.
#[derive(Clone, Copy)]
struct Reading<'a> {
    access: &'a Access,
    index: usize,
    accesses: &'a Accesses,
    known: &'a Known,
}

impl Reading<'_> {
    /// Where a place is in the order.
    fn order(&self, place: Place) -> usize {
        self.accesses.index(place)
    }

    /// Whether what happened at a place is no longer ago than a window.
    fn is_within(&self, place: Place, window: i64) -> bool {
        self.accesses.get(place).is_some_and(|older| is_within(older.at, self.access.at, window))
    }

    /// How soon after an access to an index the manifest may be its child: it is listed, or nobody knows the list and
    /// it is an image. None when it is not listed.
    fn window_after(&self, index: u64) -> Option<i64> {
        match self.known.lists(index, self.access.digest) {
            Some(true) => Some(WINDOW),
            None if self.access.manifest == ManifestKind::Image => Some(CHILD_WINDOW),
            Some(false) | None => None,
        }
    }

    /// The first of some places, which are in order, that is within a window.
    fn first_within(&self, places: &VecDeque<Place>, window: i64) -> Option<Place> {
        places.get(places.partition_point(|place| !self.is_within(*place, window))).copied()
    }

    /// The last of some places, which are in order, if that is within a window.
    fn last_within(&self, places: &VecDeque<Place>, window: i64) -> Option<Place> {
        places.back().copied().filter(|place| self.is_within(*place, window))
    }
}

impl State {
    /// What the access at an index means; the state is of all before it.
    pub(super) fn read(&mut self, accesses: &Accesses, index: usize, known: &Known) -> Outcome {
        let reading = Reading { access: accesses.at(index), index, accesses, known };
        self.drop_old(&reading);
        match (reading.access.action, &reading.access.base.tag) {
            (_, Some(tag)) if tag.is_referrer() => Outcome::Referrer,
            (_, None) if self.is_referred_to(&reading) => Outcome::Referrer,
            (Action::Push, _) => Outcome::Push,
            (Action::Head, _) => Outcome::LookUp,
            (Action::Get, Some(tag)) => self.pull(&reading, self.look_up_of_tag(&reading, tag)),
            (Action::Get, None) => self.get_by_digest(&reading),
        }
    }

    fn get_by_digest(&self, reading: &Reading<'_>) -> Outcome {
        if let Some(look_up) = self.look_up_of_digest(reading) {
            return self.pull(reading, Some(look_up));
        }
        let pull_of_cached_index = |(index, look_up)| Outcome::Root { index, look_up: Some(look_up), shared: None };
        (self.second_platform(reading).map(pull_of_cached_index))
            .or_else(|| self.pull_of_child(reading).map(|root| Outcome::Child { root }))
            .or_else(|| self.look_up_of_cached_index(reading).map(pull_of_cached_index))
            .unwrap_or_else(|| self.pull(reading, None))
    }

    /// Notes what an access was read as.
    pub(super) fn note(&mut self, accesses: &Accesses, place: Place) {
        let Some(access) = accesses.get(place) else { return };
        self.noted += 1;
        self.noted_to = Some(place);
        match access.outcome {
            Outcome::Unread | Outcome::Push => {}
            Outcome::Referrer => self.referrers.push_back(place),
            Outcome::LookUp => {
                let manifest = self.manifests.entry(access.digest).or_default();
                manifest.is_index = access.manifest == ManifestKind::Index;
                manifest.look_ups.push_back(place);
            }
            Outcome::Root { index, look_up, shared } => {
                if let Some((head, look_up)) = look_up.and_then(|place| Some((accesses.get(place)?, place)))
                    && let Some(manifest) = self.manifests.get_mut(&head.digest)
                {
                    manifest
                        .look_ups
                        .iter()
                        .rposition(|other| *other == look_up)
                        .map(|at| manifest.look_ups.remove(at));
                }
                self.note_fetch(access, place);
                let is_child = index != access.digest;
                if is_child || access.manifest == ManifestKind::Index {
                    let children = if is_child { vec![access.digest] } else { Vec::new() };
                    let manifest = self.manifests.entry(index).or_default();
                    manifest.is_index = true;
                    manifest.begin(place, children, shared, accesses);
                }
            }
            Outcome::Child { root } => {
                self.note_fetch(access, place);
                if let Some(index) = accesses.pulled_by(root)
                    && let Some(manifest) = self.manifests.get_mut(&index)
                {
                    manifest.add_child(root, access.digest, accesses);
                }
            }
        }
    }

    fn note_fetch(&mut self, access: &Access, place: Place) {
        if access.manifest == ManifestKind::Image {
            self.fetched.insert(access.digest, place);
        }
    }

    /// The children of a pull that began within the window.
    pub(super) fn children_of(&self, index: u64, root: Place, accesses: &Accesses) -> Option<&[u64]> {
        let pulls = &self.manifests.get(&index)?.pulls;
        pulls.iter().find(|pulls| pulls.find(root, accesses).is_ok()).map(|pulls| &*pulls.children)
    }

    /// How many accesses were noted.
    pub(super) fn noted(&self) -> usize {
        self.noted
    }

    /// The place of the last access that was noted.
    pub(super) fn noted_to(&self) -> Option<Place> {
        self.noted_to
    }

    /// Drops what is older than the window; now and then, for nothing finds it anyway.
    fn drop_old(&mut self, reading: &Reading<'_>) {
        if reading.access.at < self.clean_until {
            return;
        }
        self.clean_until = reading.access.at.saturating_add(SECOND);
        let drop_old = |places: &mut VecDeque<Place>| {
            while places.front().is_some_and(|place| !reading.is_within(*place, WINDOW)) {
                places.pop_front();
            }
            !places.is_empty()
        };
        drop_old(&mut self.referrers);
        self.fetched.retain(|_, fetch| reading.is_within(*fetch, WINDOW));
        self.manifests.retain(|_, manifest| {
            manifest.pulls.retain_mut(|pulls| drop_old(&mut pulls.roots));
            drop_old(&mut manifest.look_ups) || !manifest.pulls.is_empty()
        });
    }

    /// A new pull. A tag whose index shares its image with another that was fetched brings that image, and no fetch of
    /// it will follow.
    fn pull(&self, reading: &Reading<'_>, look_up: Option<Place>) -> Outcome {
        let index = reading.access.digest;
        Outcome::Root { index, look_up, shared: self.shared_platform(reading, index) }
    }

    /// The architecture of the images that an index shares with others that were fetched; none when these are of
    /// several.
    fn shared_platform(&self, reading: &Reading<'_>, index: u64) -> Option<ArchitectureId> {
        let Reading { access, accesses, known, .. } = reading;
        if access.manifest != ManifestKind::Index || self.fetched.is_empty() {
            return None;
        }
        let is_shared = |fetch: &Place| {
            reading.is_within(*fetch, WINDOW) && accesses.pulled_by(*fetch).is_some_and(|other| other != index)
        };
        let mut told = known
            .children(index)
            .filter(|child| self.fetched.get(child).is_some_and(is_shared))
            .filter_map(|child| known.architecture_in(index, child));
        let first = told.next()?;
        told.all(|other| other == first).then_some(first)
    }

    /// Whether the digest is what a referrer's tag led to, or listed by a referrers index that was fetched. What was
    /// looked up in its own right is not.
    fn is_referred_to(&self, reading: &Reading<'_>) -> bool {
        let Reading { access, accesses, known, .. } = reading;
        let leads_to = |referrer: &Access| {
            referrer.digest == access.digest
                || referrer.action == Action::Get && known.lists(referrer.digest, access.digest) == Some(true)
        };
        let mut referrers = self.referrers.iter().filter(|place| reading.is_within(**place, WINDOW));
        referrers.any(|place| accesses.get(*place).is_some_and(leads_to)) && self.look_up_of_digest(reading).is_none()
    }

    /// The newest unused HEAD of a tag, shortly before.
    fn look_up_of_tag(&self, Reading { access, index, accesses, .. }: &Reading<'_>, tag: &Tag) -> Option<Place> {
        let is_unused = |head: &Access, place| {
            self.manifests.get(&head.digest).is_some_and(|manifest| manifest.look_ups.contains(&place))
        };
        if self.manifests.is_empty() {
            return None;
        }
        accesses
            .before(*index)
            .take_while(|(_, older)| is_within(older.at, access.at, TAG_LOOK_UP_WINDOW))
            .filter(|(_, older)| older.action == Action::Head && older.base.tag.as_ref() == Some(tag))
            .find(|(place, older)| is_unused(older, *place))
            .map(|(place, _)| place)
    }

    /// The newest unused HEAD that told the digest.
    fn look_up_of_digest(&self, reading: &Reading<'_>) -> Option<Place> {
        reading.last_within(&self.manifests.get(&reading.access.digest)?.look_ups, WINDOW)
    }

    /// The index and its unused HEAD, when the manifest is a platform's image of an index that is there: each pull of
    /// the index has its image, the index was looked up again, and what is fetched now is another platform's.
    ///
    /// What began after the HEAD and may list the manifest is what that is part of. So is what began before and has no
    /// image yet, unless the HEAD is of an index that was pulled itself.
    fn second_platform(&self, reading: &Reading<'_>) -> Option<(u64, Place)> {
        let last = |pulls: &Pulls, window| reading.last_within(&pulls.roots, window).map(|root| reading.order(root));
        let mut newest = None;
        let mut is_one_waiting = false;
        for (_, manifest, window) in self.indexes_that_may_list(reading) {
            for pulls in &manifest.pulls {
                let last = last(pulls, window);
                newest = newest.max(last);
                is_one_waiting |= last.is_some() && !pulls.have_image();
            }
        }
        self.indexes_that_may_list(reading)
            .filter_map(|(index, manifest, window)| {
                let look_up = reading.last_within(&manifest.look_ups, window)?;
                let pulls = || manifest.pulls.iter().filter(|pulls| last(pulls, WINDOW).is_some());
                let is_second = match pulls().max_by_key(|pulls| last(pulls, WINDOW)) {
                    Some(latest) => pulls().all(Pulls::have_image) && latest.lack_platform_of(index, reading),
                    None => !is_one_waiting,
                };
                (is_second && newest < Some(reading.order(look_up))).then_some((index, look_up))
            })
            .max_by_key(|(_, look_up)| reading.order(*look_up))
    }

    /// The pull that the manifest is part of. A client asks for each child once, so those without this child come
    /// first, then those with the fewest children, of these the ones whose platform was not there, then the oldest: the
    /// others are of other hosts behind its address. That an image was there is a guess, which its fetch proves wrong.
    fn pull_of_child(&self, reading: &Reading<'_>) -> Option<Place> {
        self.indexes_that_may_list(reading)
            .flat_map(|(index, manifest, window)| manifest.pulls.iter().map(move |pulls| (index, pulls, window)))
            .filter_map(|(index, pulls, window)| {
                let root = reading.first_within(&pulls.roots, window)?;
                let have = pulls.children.contains(&reading.access.digest);
                let was_there = pulls.share_platform_of(index, reading);
                Some((have, pulls.children.len(), was_there, reading.order(root), root))
            })
            .min()
            .map(|(.., root)| root)
    }

    /// The index and its newest unused HEAD, when the manifest may be a child of it: the client has the index.
    fn look_up_of_cached_index(&self, reading: &Reading<'_>) -> Option<(u64, Place)> {
        self.indexes_that_may_list(reading)
            .filter_map(|(index, manifest, window)| Some((index, reading.last_within(&manifest.look_ups, window)?)))
            .max_by_key(|(_, look_up)| reading.order(*look_up))
    }

    /// The indexes that the manifest may be a child of, and for how long after they were accessed.
    fn indexes_that_may_list(&self, reading: &Reading<'_>) -> impl Iterator<Item = (u64, &Manifest, i64)> {
        self.manifests
            .iter()
            .filter(|(index, manifest)| manifest.is_index && **index != reading.access.digest)
            .filter_map(|(index, manifest)| Some((*index, manifest, reading.window_after(*index)?)))
    }
}

impl Manifest {
    /// A pull begins, or goes on with these children.
    fn begin(&mut self, root: Place, children: Vec<u64>, shared: Option<ArchitectureId>, accesses: &Accesses) {
        let same = |pulls: &&mut Pulls| {
            pulls.shared == shared
                && pulls.children.len() == children.len()
                && children.iter().all(|child| pulls.children.contains(child))
        };
        if let Some(pulls) = self.pulls.iter_mut().find(same) {
            let (Ok(at) | Err(at)) = pulls.find(root, accesses);
            pulls.roots.insert(at, root);
        } else {
            self.pulls.push(Pulls { children, shared, roots: VecDeque::from([root]) });
        }
    }

    fn add_child(&mut self, root: Place, child: u64, accesses: &Accesses) {
        let place = |pulls: &Pulls| pulls.find(root, accesses).ok();
        let Some((set, place)) = (self.pulls.iter().enumerate()).find_map(|(set, pulls)| Some((set, place(pulls)?)))
        else {
            return;
        };
        let Pulls { children, shared, roots } = &mut self.pulls[set];
        if children.contains(&child) {
            return;
        }
        let (children, shared) = ([&**children, &[child]].concat(), *shared);
        roots.remove(place);
        if roots.is_empty() {
            self.pulls.swap_remove(set);
        }
        self.begin(root, children, shared, accesses);
    }
}

impl Pulls {
    /// Where among the roots one is, or belongs.
    fn find(&self, root: Place, accesses: &Accesses) -> Result<usize, usize> {
        self.roots.binary_search_by_key(&accesses.order(root), |other| accesses.order(*other))
    }

    /// Whether an image came with them, or was there.
    fn have_image(&self) -> bool {
        !self.children.is_empty() || self.shared.is_some()
    }

    /// Whether the manifest is of the platform that was there.
    fn share_platform_of(&self, index: u64, Reading { access, known, .. }: &Reading<'_>) -> bool {
        self.shared.is_some_and(|shared| known.architecture_in(index, access.digest) == Some(shared))
    }

    /// Whether the manifest is of another platform than their images.
    fn lack_platform_of(&self, index: u64, reading: &Reading<'_>) -> bool {
        reading.known.is_other_platform(index, reading.access.digest, &self.children)
            && !(self.children.is_empty() && self.share_platform_of(index, reading))
    }
}
