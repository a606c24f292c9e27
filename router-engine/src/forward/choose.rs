//! The balanced choice among local links and remote routers.

/// A destination with its load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate<T> {
    pub(crate) target: T,
    /// Load, for remote routers with the path cost added.
    pub(crate) value: u32,
    pub(crate) eligible: bool,
}

/// Picks by the balanced rule (spec `inter-router-protocol.md` 10.5): the lowest value among
/// eligible candidates, the first of equals; without an eligible one the lowest of the others,
/// the last of equals.
#[derive(Debug)]
pub(crate) struct Balanced<T> {
    eligible: Option<Candidate<T>>,
    other: Option<Candidate<T>>,
}

// === impl Balanced ===

impl<T: Copy> Balanced<T> {
    pub(crate) fn new() -> Self {
        Self { eligible: None, other: None }
    }

    pub(crate) fn offer(&mut self, candidate: Candidate<T>) {
        if candidate.eligible {
            if self.eligible.is_none_or(|best| candidate.value < best.value) {
                self.eligible = Some(candidate);
            }
        } else if self.other.is_none_or(|best| candidate.value <= best.value) {
            self.other = Some(candidate);
        }
    }

    /// The best so far has no load at all: nothing can displace it.
    pub(crate) fn is_idle(&self) -> bool {
        self.eligible.is_some_and(|best| best.value == 0)
    }

    pub(crate) fn pick(self) -> Option<T> {
        self.eligible.or(self.other).map(|best| best.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(candidates: &[(u32, bool)]) -> Option<usize> {
        let mut balanced = Balanced::new();
        for (target, &(value, eligible)) in candidates.iter().enumerate() {
            balanced.offer(Candidate { target, value, eligible });
        }
        balanced.pick()
    }

    #[test]
    fn the_first_of_the_least_loaded_wins() {
        assert_eq!(pick(&[(2, true), (1, true), (1, true)]), Some(1));
        assert_eq!(pick(&[(9, false), (3, true)]), Some(1));
    }

    #[test]
    fn without_eligible_ones_the_last_of_the_least_loaded_wins() {
        assert_eq!(pick(&[(7, false), (5, false), (5, false)]), Some(2));
        assert_eq!(pick(&[]), None);
    }
}
