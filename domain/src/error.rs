//! How errors are told.

use std::error::Error;

/// An error with its causes, in one line. A cause that the text before it ends with is not told twice: some errors
/// tell theirs themselves.
#[must_use]
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes
        .map(ToString::to_string)
        .fold(error.to_string(), |text, cause| if text.ends_with(&cause) { text } else { format!("{text}: {cause}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Layer {
        #[error("the spool is unavailable")]
        Port(#[source] Box<Layer>),
        #[error("error returned from the database: {0}")]
        Telling(#[source] Box<Layer>),
        #[error("unable to open the file")]
        Cause,
    }

    #[test]
    fn each_cause_is_told_once() {
        let told = Layer::Port(Layer::Telling(Layer::Cause.into()).into());
        assert_eq!(
            describe(&told),
            "the spool is unavailable: error returned from the database: unable to open the file"
        );
        assert_eq!(describe(&Layer::Port(Layer::Cause.into())), "the spool is unavailable: unable to open the file");
        assert_eq!(describe(&Layer::Cause), "unable to open the file");
    }
}
