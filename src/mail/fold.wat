;; Folding line ends, sixteen octets at a time: `npm run assemble` makes fold-code.ts of this file.
;;
;; Text goes over unchanged up to the next CR. A run of CRs before an LF is left out (the last `most` of it); any other run goes over.
;; Whole vectors are read and written, so up to 15 octets behind either end are touched, and mean nothing.

(module
  (memory (export "memory") 3)

  ;; from, end: the octets to be folded. to: where the folded ones go. result: six u32, see fold.ts.
  (func (export "fold")
    (param $from i32) (param $end i32) (param $to i32) (param $most i32) (param $result i32)
    (local $octets v128)
    ;; Which of the vector's octets count, a bit each: from the first one on, those before the end or before the first CR.
    (local $counted i32)
    (local $step i32)
    (local $crs i32)
    (local $run i32)
    (local $gone i32)
    (local $begin i32)
    (local $lines i32)
    (local $crlf i32)
    (local $doubled i32)
    (local $stray i32)
    (local $nuls i32)

    (local.set $begin (local.get $to))
    (block $over
      (loop $vector
        (br_if $over (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $octets (v128.load (local.get $from)))
        (v128.store (local.get $to) (local.get $octets))

        (local.set $step (i32.sub (local.get $end) (local.get $from)))
        (if (i32.lt_u (local.get $step) (i32.const 16))
          (then
            (local.set $counted (i32.sub (i32.shl (i32.const 1) (local.get $step)) (i32.const 1))))
          (else
            (local.set $step (i32.const 16))
            (local.set $counted (i32.const 0xffff))))

        (local.set $crs (i32.and (local.get $counted)
          (i8x16.bitmask (i8x16.eq (local.get $octets) (i8x16.splat (i32.const 13))))))
        (if (local.get $crs)
          (then
            (local.set $step (i32.ctz (local.get $crs)))
            (local.set $counted (i32.sub (i32.shl (i32.const 1) (local.get $step)) (i32.const 1)))))

        (local.set $nuls (i32.or (local.get $nuls) (i32.and (local.get $counted)
          (i8x16.bitmask (i8x16.eq (local.get $octets) (i8x16.splat (i32.const 0)))))))
        (local.set $lines (i32.add (local.get $lines) (i32.popcnt (i32.and (local.get $counted)
          (i8x16.bitmask (i8x16.eq (local.get $octets) (i8x16.splat (i32.const 10))))))))

        (local.set $from (i32.add (local.get $from) (local.get $step)))
        (local.set $to (i32.add (local.get $to) (local.get $step)))
        (br_if $vector (i32.eqz (local.get $crs)))

        (local.set $run (i32.const 0))
        (block $ended
          (loop $cr
            (br_if $ended (i32.ge_u (local.get $from) (local.get $end)))
            (br_if $ended (i32.ne (i32.load8_u (local.get $from)) (i32.const 13)))
            (local.set $run (i32.add (local.get $run) (i32.const 1)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (br $cr)))

        (local.set $gone (i32.const 0))
        (block $folded
          (br_if $folded (i32.ge_u (local.get $from) (local.get $end)))
          (br_if $folded (i32.ne (i32.load8_u (local.get $from)) (i32.const 10)))
          (local.set $crlf (i32.add (local.get $crlf) (i32.const 1)))
          (local.set $gone
            (select (local.get $run) (local.get $most) (i32.lt_u (local.get $run) (local.get $most))))
          (local.set $doubled (i32.add (local.get $doubled) (i32.sub (local.get $gone) (i32.const 1)))))

        (local.set $run (i32.sub (local.get $run) (local.get $gone)))
        (local.set $stray (i32.add (local.get $stray) (local.get $run)))
        (memory.fill (local.get $to) (i32.const 13) (local.get $run))
        (local.set $to (i32.add (local.get $to) (local.get $run)))
        (br $vector)))

    (i32.store (local.get $result) (i32.sub (local.get $to) (local.get $begin)))
    (i32.store offset=4 (local.get $result) (local.get $lines))
    (i32.store offset=8 (local.get $result) (local.get $crlf))
    (i32.store offset=12 (local.get $result) (local.get $doubled))
    (i32.store offset=16 (local.get $result) (local.get $stray))
    (i32.store offset=20 (local.get $result) (local.get $nuls))))
