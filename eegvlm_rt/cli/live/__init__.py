"""What `eegvlm-rt stream` is made of: what it begins with, what it shows, what it leaves behind."""
