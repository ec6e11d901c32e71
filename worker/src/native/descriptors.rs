//! Number of files that the process may have open, and who gets them: databases and connections. Pure,
//! but for [`raise`].

use std::num::NonZeroUsize;

/// A limit that a system may have; `None` is none.
type Limit = Option<u64>;

/// Limit of a system that refuses to grant everything, as macOS does, whatever its hard limit says.
const PORTABLE_MAX: u64 = 10_240;

/// Files that an open database takes: itself, its log, and the log once more for flushing.
const FILES_PER_DATABASE: u64 = 3;
/// Files of one event loop.
const FILES_PER_LOOP: u64 = 8;
/// Files for everything else: standard streams, the lock, the listener, one that is being opened.
const FILES_OF_THE_PROCESS: u64 = 32;
/// With fewer connections a service is of no use.
const CONNECTIONS_MIN: u64 = 64;
/// With fewer databases in a namespace they would be opened and closed all the time.
const DATABASES_MIN: u64 = 4;
/// Most databases that are opened by default: what they take in memory is better spent otherwise.
const DATABASES_MAX: u64 = 1_024;

/// Owner of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Most databases that each namespace has open at once; at least 1.
    pub databases: usize,
    /// Most connections of the process.
    pub connections: u32,
}

/// The process may not have as many files as it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooFew {
    /// Whatever is asked of it.
    #[error(
        "this process may have {files} files open and needs {needed}: raise the limit (`ulimit -n \
         {needed}`) and start it again"
    )]
    ToStart {
        /// The limit.
        files: u64,
        /// Least limit that is needed.
        needed: u64,
    },
    /// For that many databases.
    #[error(
        "{asked} open databases take {needed} files, and this process may have {files} open: ask for at \
         most {most}, or raise the limit (`ulimit -n {needed}`)"
    )]
    ForDatabases {
        /// Number of databases that were asked for.
        asked: u64,
        /// Least limit that is needed.
        needed: u64,
        /// The limit.
        files: u64,
        /// Number of databases that it is good for.
        most: u64,
    },
}

/// Shares the files of a process among `namespaces` of objects on `loops` event loops. `databases` is
/// how many shall be open in all of them together, if somebody has asked for that.
///
/// # Errors
/// [`TooFew`] if fewer than 64 connections would be left.
pub fn share(
    files: u64,
    namespaces: NonZeroUsize,
    loops: NonZeroUsize,
    databases: Option<usize>,
) -> Result<Budget, TooFew> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let spaces = count(namespaces.get());
    let others =
        FILES_PER_LOOP.saturating_mul(count(loops.get())).saturating_add(FILES_OF_THE_PROCESS);
    let taken =
        |databases: u64| databases.saturating_mul(FILES_PER_DATABASE).saturating_add(others);
    let needed = |databases: u64| taken(databases).saturating_add(CONNECTIONS_MIN);
    let least = spaces.saturating_mul(DATABASES_MIN);
    if files < needed(least) {
        return Err(TooFew::ToStart { files, needed: needed(least) });
    }
    let databases = match databases.map(count) {
        // Half of what can be shared, so that there are as many files for connections.
        None => {
            let half = files.saturating_sub(others).checked_div(2).unwrap_or(0);
            let shared = half.min(files.saturating_sub(needed(0)));
            let databases = shared.checked_div(FILES_PER_DATABASE).unwrap_or(0);
            databases.clamp(least, least.max(DATABASES_MAX))
        }
        Some(asked) if files < needed(asked) => {
            let most = files.saturating_sub(needed(0)).checked_div(FILES_PER_DATABASE);
            let (needed, most) = (needed(asked), most.unwrap_or(0));
            return Err(TooFew::ForDatabases { asked, needed, files, most });
        }
        Some(asked) => asked,
    };
    let each = databases.checked_div(spaces).unwrap_or(0).max(1);
    let left = files.saturating_sub(taken(each.saturating_mul(spaces)));
    Ok(Budget {
        databases: usize::try_from(each).unwrap_or(usize::MAX),
        connections: u32::try_from(left).unwrap_or(u32::MAX),
    })
}

/// The limit after asking for more: for all that may be had, or else for what every system grants.
/// `grant` asks the system, and says whether it agreed.
pub fn raise(soft: Limit, hard: Limit, mut grant: impl FnMut(Limit) -> bool) -> Limit {
    let portable = Some(hard.map_or(PORTABLE_MAX, |hard| hard.min(PORTABLE_MAX)));
    let wishes = [hard, portable].into_iter().filter(|wish| is_more(*wish, soft));
    wishes.into_iter().find(|wish| grant(*wish)).unwrap_or(soft)
}

fn is_more(wish: Limit, than: Limit) -> bool {
    match (wish, than) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(wish), Some(than)) => wish > than,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).unwrap()
    }

    /// Limits that are asked for, in order, and the limit afterwards.
    fn raised(soft: Limit, hard: Limit, grants: fn(Limit) -> bool) -> (Vec<Limit>, Limit) {
        let mut asked = Vec::new();
        let limit = raise(soft, hard, |wish| {
            asked.push(wish);
            grants(wish)
        });
        (asked, limit)
    }

    #[test]
    fn all_that_may_be_had_is_asked_for_and_less_where_that_is_refused() {
        // Linux grants what it says.
        assert_eq!(raised(Some(1_024), Some(4_096), |_| true), (vec![Some(4_096)], Some(4_096)));
        assert_eq!(raised(Some(1_024), None, |_| true), (vec![None], None));
        // macOS begins with 256 and refuses to have no limit.
        let macos = |wish: Limit| wish.is_some_and(|wish| wish <= 10_240);
        assert_eq!(raised(Some(256), None, macos), (vec![None, Some(10_240)], Some(10_240)));
        let large = Some(1 << 40);
        assert_eq!(raised(Some(256), large, macos), (vec![large, Some(10_240)], Some(10_240)));
        // Nothing is given up, and nothing is asked for in vain.
        assert_eq!(raised(Some(256), Some(512), |_| false), (vec![Some(512); 2], Some(256)));
        assert_eq!(raised(Some(65_536), None, |_| false), (vec![None], Some(65_536)));
        assert_eq!(raised(Some(512), Some(512), |_| false), (vec![], Some(512)));
        assert_eq!(raised(None, None, |_| false), (vec![], None));
    }

    #[test]
    fn databases_and_connections_share_what_there_is() {
        let shared = |files| share(files, of(2), of(1), None).unwrap();
        for (files, databases, connections) in [
            (256, 18, 108),
            (512, 39, 238),
            (1_024, 82, 492),
            (10_240, 512, 7_128),
            (u64::MAX, 512, u32::MAX),
        ] {
            let budget = shared(files);
            assert_eq!(budget, Budget { databases, connections }, "of {files}");
        }
        // Whatever the limit: nothing is promised twice, and nobody gets nothing.
        for files in 128..5_000 {
            for loops in 1..=8 {
                let Ok(budget) = share(files, of(2 * loops), of(loops), None) else { continue };
                let databases = budget.databases as u64 * 2 * loops as u64;
                let taken = databases * 3 + u64::from(budget.connections) + 8 * loops as u64 + 32;
                assert!(taken <= files, "{taken} of {files}");
                assert!(budget.databases >= 4 && budget.connections >= 64, "{budget:?} of {files}");
            }
        }
    }

    #[test]
    fn too_few_files_are_refused_in_words_that_help() {
        let few = share(100, of(2), of(1), None).unwrap_err().to_string();
        assert!(few.contains("may have 100 files open and needs 128"), "{few}");
        assert!(few.contains("ulimit -n 128"), "{few}");
        assert!(share(128, of(2), of(1), None).is_ok());
        let many = share(1_024, of(2), of(1), Some(2_000)).unwrap_err().to_string();
        assert!(many.contains("ask for at most 306"), "{many}");
        assert!(many.contains("2000 open databases take 6104 files"), "{many}");
        assert_eq!(share(6_104, of(2), of(1), Some(2_000)).unwrap().connections, 64);
        let two = share(1_024, of(2), of(1), Some(2)).unwrap();
        assert_eq!((two.databases, two.connections), (1, 978));
    }
}
