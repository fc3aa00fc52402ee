const CHOICES = ['system', 'light', 'dark'] as const
type Choice = (typeof CHOICES)[number]

const KEY = 'kennel-colours'

function kept(): Choice {
  try {
    return CHOICES.find((one) => one === localStorage.getItem(KEY)) ?? 'system'
  } catch {
    return 'system'
  }
}

export const theme = $state({ choice: kept() })

function apply() {
  if (theme.choice === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme.choice
}

export function nextTheme() {
  theme.choice = CHOICES[(CHOICES.indexOf(theme.choice) + 1) % CHOICES.length] ?? 'system'
  try {
    localStorage.setItem(KEY, theme.choice)
  } catch {
    // A browser that keeps nothing: it holds until the page is closed.
  }
  apply()
}

apply()
