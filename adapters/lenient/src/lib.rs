//! Reading JSON of strangers: what is odd is left out, and nothing grows with it.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, str::FromStr};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

/// A member that is taken when it is what it should be.
#[derive(Clone, Debug)]
pub struct Lenient<T>(pub Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok()))
    }
}

/// A struct, and only of an object: serde reads one of a list too.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

impl<T: Default> Lenient<Object<T>> {
    /// The struct; an empty one when it is no object.
    #[must_use]
    pub fn object(self) -> T {
        self.0.map(|object| object.0).unwrap_or_default()
    }
}

/// Text that can be read as some type.
pub struct Parsed<T>(pub T);

impl<'de, T: FromStr> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| D::Error::custom("odd text"))
    }
}

/// The first members of a list, at most so many, that are what they should be.
pub struct AtMost<T, const MAX: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for AtMost<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Vec<T>, A::Error> {
                let mut kept = Vec::new();
                while let Some(raw) = members.next_element::<&'de RawValue>()? {
                    if kept.len() < MAX {
                        kept.extend(serde_json::from_str::<T>(raw.get()).ok());
                    }
                }
                Ok(kept)
            }
        }
        deserializer.deserialize_seq(List::<T, MAX>(PhantomData)).map(Self)
    }
}

impl<T, const MAX: usize> Lenient<AtMost<T, MAX>> {
    /// The members; none when it is no list.
    #[must_use]
    pub fn list(self) -> Vec<T> {
        self.0.map(|list| list.0).unwrap_or_default()
    }
}

/// The first members of an object, at most so many, that are what they should be.
pub struct AtMostMembers<T, const MAX: usize>(pub BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for AtMostMembers<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Object<T, MAX> {
            type Value = BTreeMap<String, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut kept = BTreeMap::new();
                while let Some((name, raw)) = members.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    if kept.len() < MAX
                        && let Ok(value) = serde_json::from_str::<T>(raw.get())
                    {
                        kept.insert(short(&name), value);
                    }
                }
                Ok(kept)
            }
        }
        deserializer.deserialize_map(Object::<T, MAX>(PhantomData)).map(Self)
    }
}

impl<T, const MAX: usize> Lenient<AtMostMembers<T, MAX>> {
    /// The members; none when it is no object.
    #[must_use]
    pub fn members(self) -> BTreeMap<String, T> {
        self.0.map(|object| object.0).unwrap_or_default()
    }
}

/// Text that is cut when it is longer than people read.
pub struct Short(pub String);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer).map(|text| Self(short(&text)))
    }
}

fn short(text: &str) -> String {
    const MAX_BYTES: usize = 4096;
    if text.len() <= MAX_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(MAX_BYTES)])
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Pair {
        a: u8,
        b: u8,
    }

    #[test]
    fn a_struct_is_read_of_an_object_alone() {
        for (json, expected) in [
            (r#"{"b": 2, "a": 1, "c": {}}"#, Pair { a: 1, b: 2 }),
            ("[1, 2]", Pair::default()),
            (r#"{"a": 1}"#, Pair::default()),
            ("null", Pair::default()),
            ("7", Pair::default()),
        ] {
            assert_eq!(serde_json::from_str::<Lenient<Object<Pair>>>(json).unwrap().object(), expected, "{json}");
        }
    }

    #[test]
    fn odd_members_of_a_list_are_left_out_and_the_rest_stays() {
        let json = r#"["10.0.0.1", "<script>", 7, null, {"a": ["b"]}, "10.0.0.\u0032", "10.0.0.3"]"#;
        let addresses: AtMost<Parsed<Ipv4Addr>, 2> = serde_json::from_str(json).unwrap();
        let addresses: Vec<_> = addresses.0.iter().map(|address| address.0.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn odd_members_of_an_object_are_left_out() {
        let json = r#"{"a": 1, "b": "text", "c": null, "d": "more", "e": "too many"}"#;
        let labels: AtMostMembers<String, 2> = serde_json::from_str(json).unwrap();
        assert_eq!(
            labels.0.into_iter().collect::<Vec<_>>(),
            [("b".to_owned(), "text".to_owned()), ("d".to_owned(), "more".to_owned())]
        );
    }

    #[test]
    fn a_list_that_is_none_is_no_list() {
        assert!(serde_json::from_str::<AtMost<String, 2>>(r#"{"a": 1}"#).is_err());
        assert!(serde_json::from_str::<Lenient<AtMost<String, 2>>>(r#"{"a": 1}"#).unwrap().0.is_none());
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let cut = short(&"ä".repeat(3000));
        assert_eq!(cut, format!("{}…", "ä".repeat(2048)));
        assert_eq!(short("short"), "short");
    }
}
