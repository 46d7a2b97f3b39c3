//! Copies that pass by the cache.

/// Copies to memory that is not read soon: past the cache, so that the old contents of its lines are not read first.
pub fn copy(to: &mut [u8], from: &[u8]) {
    assert_eq!(to.len(), from.len(), "as many bytes as there is room for");
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_sfence, _mm_stream_si128};
        const WIDTH: usize = size_of::<__m128i>();
        let head = to.as_ptr().align_offset(WIDTH).min(to.len());
        let (to, rest) = to.split_at_mut(head);
        let (from, others) = from.split_at(head);
        to.copy_from_slice(from);
        let (lines, tail) = rest.split_at_mut(rest.len() / WIDTH * WIDTH);
        let (vectors, end) = others.split_at(lines.len());
        for (to, from) in lines.chunks_exact_mut(WIDTH).zip(vectors.chunks_exact(WIDTH)) {
            // SAFETY: both pieces have the bytes of a vector, the one that is written to is aligned (it starts a
            // multiple of a vector behind an aligned place), and every x86-64 processor has SSE2.
            #[allow(unsafe_code)]
            unsafe {
                _mm_stream_si128(to.as_mut_ptr().cast(), _mm_loadu_si128(from.as_ptr().cast()));
            }
        }
        tail.copy_from_slice(end);
        // SAFETY: every x86-64 processor has SSE. The fence makes the bytes visible to whom this thread tells that it is done.
        #[allow(unsafe_code)]
        unsafe {
            _mm_sfence();
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    to.copy_from_slice(from);
}

#[cfg(test)]
mod tests {
    #[test]
    fn copies_any_part() {
        let from: Vec<u8> = (0..200).collect();
        for start in 0..40 {
            for len in [0, 1, 15, 16, 17, 33, 100] {
                let mut to = vec![255; 200];
                super::copy(&mut to[start..start + len], &from[7..7 + len]);
                let mut expected = vec![255; 200];
                expected[start..start + len].copy_from_slice(&from[7..7 + len]);
                assert_eq!(to, expected);
            }
        }
    }
}
