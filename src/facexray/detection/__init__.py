"""Detection: photograph or video → faces → Face X-rays → verdicts."""
