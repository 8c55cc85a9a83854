/// Looks for a smaller plan that still fails.
package enum Shrinking {
    /// Leaves out faults one after another, then the end of the run, as long as the run still fails.
    ///
    /// - Returns: the smallest plan found, and its run with the story.
    package static func shrink(_ plan: RunPlan, attempts: Int = 400) -> (RunPlan, RunReport) {
        var best = plan
        var left = attempts
        func fails(_ candidate: RunPlan) -> Bool {
            guard left > 0 else { return false }
            left -= 1
            return !Run(candidate).go().violations.isEmpty
        }
        var isSmaller = true
        while isSmaller {
            isSmaller = false
            for index in best.faults.indices.reversed() {
                var candidate = best
                candidate.faults.remove(at: index)
                if fails(candidate) {
                    best = candidate
                    isSmaller = true
                }
            }
            for part in [2, 4, 8] where best.milliseconds > 300 {
                var candidate = best
                candidate.milliseconds -= candidate.milliseconds / part
                if fails(candidate) {
                    best = candidate
                    isSmaller = true
                }
            }
        }
        return (best, Run(best, tellsStory: true).go())
    }
}
