//! Numbers in base 128, the lowest digits first, all but the last digit with the high bit set (LEB128).

const DIGIT: u32 = 7;
const MORE: u8 = 1 << DIGIT;

pub(crate) fn write(packed: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        packed.push(number.to_le_bytes()[0] | MORE);
        number >>= DIGIT;
    }
    packed.push(number.to_le_bytes()[0]);
}

/// Takes the first number; none at the end, and where there is no number of 64 bits.
pub(crate) fn read(packed: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    while let [byte, rest @ ..] = *packed {
        *packed = rest;
        number |= u64::from(byte & !MORE) << shift;
        if *byte < MORE {
            return Some(number);
        }
        shift += DIGIT;
        if shift >= u64::BITS {
            break;
        }
    }
    None
}

/// A number with its sign in the lowest bit.
pub(crate) fn zigzag(number: i64) -> u64 {
    number.wrapping_shl(1).cast_unsigned() ^ (number >> 63).cast_unsigned()
}

pub(crate) fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_it_was_written() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX / 4, u64::MAX] {
            let mut packed = Vec::new();
            write(&mut packed, number);
            write(&mut packed, 5);
            let mut rest = &*packed;
            assert_eq!((read(&mut rest), read(&mut rest), read(&mut rest)), (Some(number), Some(5), None));
        }
        for number in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_no_number() {
        for bytes in [&[][..], &[0x80], &[0xff; 10], &[0xff; 20]] {
            let mut rest = bytes;
            assert_eq!(read(&mut rest), None, "{bytes:?}");
        }
    }
}
