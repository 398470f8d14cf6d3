//! What a client likes to be sent: `Accept`, `Accept-Encoding` and their like (RFC 9110, 12.5).

use poem::http::{HeaderMap, header::HeaderName};

/// How much a client likes what has any of these names: from 1, which is also meant by a name alone, to 0, which is
/// also meant by no name at all and by what is no number.
pub(crate) fn quality(headers: &HeaderMap, header: &HeaderName, names: &[&str]) -> f32 {
    let lists = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|item| item_quality(item, names)).fold(0.0, f32::max)
}

fn item_quality(item: &str, names: &[&str]) -> Option<f32> {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next()?;
    names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)).then(|| {
        let quality = parts.find_map(|parameter| parameter.strip_prefix("q="));
        quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0))
    })
}

#[cfg(test)]
mod tests {
    use poem::http::{HeaderValue, header::ACCEPT};

    use super::*;

    fn of(lists: &[&'static str]) -> f32 {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(ACCEPT, HeaderValue::from_static(list));
        }
        quality(&headers, &ACCEPT, &["gzip", "x-gzip"])
    }

    #[test]
    fn a_list_tells_how_much_something_is_liked() {
        for (list, expected) in [
            ("gzip", 1.0),
            ("br, GZIP;q=0.5", 0.5),
            ("gzip;level=1;q=0.5", 0.5),
            ("gzip;q=0.2, x-gzip;q=0.4", 0.4),
            ("gzip;q=0", 0.0),
            ("gzip; q=0.0, br", 0.0),
            ("gzip;q=much", 0.0),
            ("gzip;q=NaN", 0.0),
            ("br", 0.0),
            ("*", 0.0),
            ("", 0.0),
        ] {
            assert!((of(&[list]) - expected).abs() < f32::EPSILON, "{list}");
        }
    }

    #[test]
    fn a_header_may_come_in_several_lines() {
        assert!(of(&["br", "gzip"]) > 0.0);
        assert!(of(&[]) <= 0.0);
    }
}
